#include "supervisor/serve/call_dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <span>
#include <utility>

#include "policy/base/error_result.h"
#include "supervisor/credentials/accountable_user.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/inject/attach_to_caller.h"
#include "supervisor/inject/marked_call.h"
#include "supervisor/inject/outgoing_files.h"
#include "supervisor/inject/tracee.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/serve/process_caller.h"

namespace shmvisor {
namespace {

/// Whether this thread could not detach from a stranger's thread. The kernel does that when this
/// thread ends; until then the other one hangs at its next signal.
bool must_end() { return Tracee::this_thread_abandoned_one(); }

/// Of this thread.
CallShares::Successor successor() {
  return must_end() ? CallShares::Successor::kAnother : CallShares::Successor::kThisThread;
}

}  // namespace

/// The caller of a call that is being served; while it keeps us, another thread receives.
class CallDispatcher::ServedCaller : public ProcessCaller {
 public:
  ServedCaller(CallDispatcher& dispatcher, PendingCall& call, KnownThread thread,
               std::shared_ptr<const NamespaceOwner> owner, const CallPage* call_page, bool fails,
               uid_t user)
      : ProcessCaller(call, std::move(thread), std::move(owner),
                      {dispatcher.expected_, dispatcher.features_, dispatcher.access_warnings_,
                       dispatcher.loans_, dispatcher.tracer_patience_},
                      call_page, fails, user),
        pool_(dispatcher.pool_) {}

  void long_step() override { pool_.ensure_receiver(); }
  void short_step() override { pool_.ensure_receiver_for_waiting(); }
  pid_t waiting_process() override {
    pool_.expect_wait();
    return ProcessCaller::waiting_process();
  }
  Result<void> copy_from_user(std::uint64_t address, std::span<std::byte> bytes) override {
    pool_.expect_wait();
    return ProcessCaller::copy_from_user(address, bytes);
  }
  Result<void> copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) override {
    pool_.expect_wait();
    return ProcessCaller::copy_to_user(address, bytes);
  }

 private:
  ReceiverPool& pool_;
};

CallDispatcher::CallDispatcher(Listener& listener, IpcNamespaces& namespaces,
                               KernelFeatures& features, const ServerOptions& options,
                               ReceiverPool& pool, CallObserver& observer)
    : listener_(listener),
      namespaces_(namespaces),
      features_(features),
      options_(options),
      pool_(pool),
      observer_(observer),
      tracer_patience_(options.tracer_wait),
      threads_seen_(features, options.remembered, options.most_remembered),
      expected_([this] { pool_.ensure_receiver(); },
                [this] { pool_.ensure_receiver_for_waiting(); }),
      namespace_turns_(options.most_waiting_of_user, [this] { return room_to_wait(); }),
      own_budget_(options.most_threads),
      shares_(
          options.budget == nullptr ? own_budget_ : *options.budget, options.payer_group,
          ReceiverPool::calls_of(options.most_threads),
          [this](const seccomp_notif& notif) { return listener_.waits_still(notif.id); },
          [this] { pool_.ask_to_look(); }, options.most_waiting_of_user,
          [this] { return room_to_wait(); }),
      judge_(options.rules, options.containers, options.payer_group, listener,
             [this] { pool_.ask_to_look(); }) {}

std::size_t CallDispatcher::room_to_wait() const {
  const CallSlots* const slots = listener_.slots();
  return slots == nullptr ? std::numeric_limits<std::size_t>::max() : slots->room_to_wait();
}

std::chrono::milliseconds CallDispatcher::look() {
  // The rules first: they may bring the next time of a delayed call forward.
  const auto rules = judge_.look_at_rules();
  std::chrono::milliseconds first(0);
  for (const auto next : {loans_.look(features_), rules, judge_.delayed().time_left()}) {
    if (next.count() != 0) first = first.count() == 0 ? next : std::min(first, next);
  }
  return first;
}

void CallDispatcher::serve(const seccomp_notif& notif) noexcept {
  serve_received(notif);
  while (const auto returned = expected_.next_given_back()) serve_received(*returned);
}

void CallDispatcher::resume() noexcept {
  for (std::optional<CallShares::Next> next; !must_end() && (next = shares_.resume());) {
    serve_admitted(std::move(next));
  }
  while (const auto due = judge_.delayed().take_due()) serve(*due);
  for (std::optional<NamespaceTurns::Next> next; !must_end() && (next = namespace_turns_.next());) {
    change_late(next->call, next->user);
    end_turn(next->user);
  }
  if (must_end() && can_resume()) pool_.ask_to_look();
}

void CallDispatcher::serve_received(const seccomp_notif& notif) noexcept {
  if (const auto user = serve_one(notif, std::nullopt)) serve_admitted(leave_share(*user));
}

void CallDispatcher::serve_admitted(std::optional<CallShares::Next> next) noexcept {
  for (; next; next = leave_share(next->user)) serve_one(next->call, next->user);
}

std::optional<CallShares::Next> CallDispatcher::leave_share(uid_t user) noexcept {
  const auto next = shares_.leave(user, successor());
  if (must_end() && shares_.can_resume()) pool_.ask_to_look();
  return next;
}

std::optional<uid_t> CallDispatcher::serve_one(const seccomp_notif& notif,
                                               std::optional<uid_t> admitted) noexcept {
  PendingCall call(listener_, notif);
  try {
    if (!admitted && expected_.claim(notif)) {
      call.hand_over();
      return std::nullopt;
    }
    if (call.tid() <= 0) {
      if (!told_of_strangers_.test_and_set()) {
        spdlog::warn(
            "a call comes from a process outside of our pid namespace, and fails with ENOSYS: run "
            "shmvisor in a pid namespace that holds all those it serves");
      }
      return admitted;
    }
    KnownThread thread = threads_seen_.of(call.tid());
    // A caller that gets the page at once may have it already, from a server that died.
    if (!features_.usable(KernelFeature::kLateCallSites)) {
      int none = 0;
      thread.identity->call_page_misses().compare_exchange_strong(none, CallPageUse::kUsed);
    }
    if (options_.call_page != nullptr &&
        options_.call_page->message(call.data()) == CallPage::Message::kFetch) {
      loans_.answer(call, thread.identity->unique());  // the rest of one that was admitted
      return admitted;
    }
    if (!admitted) admitted = admit(call, thread);
    if (admitted) answer(call, std::move(thread), *admitted);
  } catch (const std::exception& error) {  // no memory, most likely
    fail(call, admitted.value_or(LogLimiter::kNobody), error);
  }
  return admitted;
}

void CallDispatcher::fail(PendingCall& call, uid_t account, const std::exception& error) noexcept {
  if (!call.answered()) {
    refuse(call, {.pid = call.tid(), .tid = call.tid(), .account = account}, ENOMEM, {});
  }
  log_limited(spdlog::level::err, LogTopic::kMemory, account, "a call of thread {} failed: {}",
              call.tid(), error.what());
}

std::optional<uid_t> CallDispatcher::admit(PendingCall& call, KnownThread& thread) {
  if (!thread.ids) {
    if (auto status = TaskStatus::read(call.tid())) thread.ids = std::move(*status);
  }
  const uid_t user =
      thread.ids ? accountable_user(*thread.identity, thread.ids->uid) : LogLimiter::kNobody;
  switch (shares_.arrive(user, call.notification())) {
    case CallShares::Admission::kServe:
      return user;
    case CallShares::Admission::kStuck:
      call.hand_over();  // before there is an exception, which would answer it as well
      log_limited(spdlog::level::warn, LogTopic::kThreads, user,
                  "user {} keeps as many calls in service as it may, so that others find threads; "
                  "its further calls wait until some of them end",
                  user);
      break;
    case CallShares::Admission::kAside:
      call.hand_over();
      break;
    case CallShares::Admission::kRefused:
      refuse(call, origin_of(call, thread, user), ENOMEM,
             {.reason = Denial::Reason::kCallsOfUser,
              .limit = options_.most_waiting_of_user,
              .taken = options_.most_waiting_of_user});
      log_limited(spdlog::level::warn, LogTopic::kThreads, user,
                  "calls of user {} fail with ENOMEM: it keeps as many calls in service as it may, "
                  "and no more may wait",
                  user);
      break;
  }
  return std::nullopt;
}

CallOrigin CallDispatcher::origin_of(const PendingCall& call, const KnownThread& thread,
                                     uid_t user) const {
  CallOrigin origin{.pid = call.tid(), .tid = call.tid(), .account = user};
  if (observer_.wants_times()) origin.began = std::chrono::steady_clock::now();
  if (thread.ids) {
    origin.pid = thread.ids->tgid;
    origin.euid = thread.ids->euid;
  }
  return origin;
}

void CallDispatcher::refuse(PendingCall& call, const CallOrigin& origin, int error,
                            const Denial& denial) noexcept {
  const RawCall raw = call.raw();
  const Result<ShmCall> decoded = decode(raw);
  if (decoded) {
    observer_.refused(
        {.origin = origin, .raw = raw, .call = decoded, .value = -error, .denial = denial});
  }
  call.answer(-error);
}

void CallDispatcher::answer(PendingCall& call, KnownThread thread, uid_t user) {
  const RawCall raw = call.raw();
  CallOrigin origin = origin_of(call, thread, user);
  if (changes_namespaces(raw) || makes_ipc_namespace_for_child(raw)) {
    change_namespaces(call, user);
    return;
  }
  CallerHold hold(call, expected_, access_warnings_, {&tracer_patience_, user});
  if (finish_marked_call(call, hold)) return;
  const CallPage* call_page = options_.call_page;
  auto message = CallPage::Message::kNone;
  if (call_page != nullptr) {
    message = call_page->message(call.data());
    const auto undo = thread.identity->take_undo();
    if (undo && message == CallPage::Message::kFailed) undo();
    if (message == CallPage::Message::kMaskRefused) call_page = nullptr;
  }
  const auto found = namespaces_.of(*thread.identity, options_.home.get(),
                                    thread.ids ? std::optional(thread.ids->uid) : std::nullopt);
  if (!found) {
    refuse(call, origin, found.error().value(), {});
    return;
  }
  origin.ipc_namespace = found->ipc_namespace;
  const std::shared_ptr<ThreadIdentity> identity = thread.identity;
  // It fails with the server that was to lend the caller a descriptor, too: so it is to go on with
  // the page's code, and not step by step, or its caller would die with the next server.
  const bool fails = message == CallPage::Message::kFailed;
  ServedCaller caller(*this, call, std::move(thread), found->owner, call_page, fails, user);
  if (message == CallPage::Message::kMaskRefused) {
    caller.restore_signal_mask();
    call.answer(-EINVAL);
    return;
  }
  answer_shm_call(call, caller, *found->registry, *identity, origin);
}

void CallDispatcher::answer_shm_call(PendingCall& call, ServedCaller& caller, Registry& registry,
                                     ThreadIdentity& identity, CallOrigin origin) {
  const RawCall raw = call.raw();
  const Result<ShmCall> decoded = decode(raw);
  const auto is = [&](ShmOperation operation) {
    return decoded && decoded->operation == operation;
  };
  const bool maps = is(ShmOperation::kShmat) || is(ShmOperation::kShmdt);
  if (!maps) OutgoingFiles::all().wait_for(identity.unique());
  // A shmget neither copies nor maps, so it has nothing to wait for; a rule may ask for its
  // program.
  const bool judged_first = judge_.wanted();
  if (!is(ShmOperation::kShmget) || judged_first) pool_.look_if_it_takes_long();
  CallJudge::Judgement judged;
  if (judged_first && decoded) {
    judged = judge_.judge(call, *decoded, caller, registry, caller.account());
    if (judged.delayed) return;
    if (origin.began && judged.decided) origin.began = judged.decided->began;
  }
  Reply reply =
      judged.refusal ? std::move(*judged.refusal) : answer_call(decoded, caller, registry);
  const bool mapped = maps && !is_error_result(reply.value());
  if (caller.cannot_tell() && !mapped && !call.answered()) {
    reply = Errno(ENOMEM);
    log_limited(
        spdlog::level::warn, LogTopic::kRefusedCalls, caller.account(),
        "a call of thread {} fails with ENOMEM: nothing can be read of it, because shmvisor "
        "is out of descriptors or memory",
        call.tid());
  }
  Denial denial = reply.denial();
  const bool failed = is_error_result(reply.value());
  if (failed && !denial.known() && caller.is_out_of_reach()) denial = {Denial::Reason::kTracing};
  auto undo = reply.undo();
  const bool completed_by_caller = undo != nullptr;
  // Before the caller can call again.
  if (completed_by_caller) {
    threads_seen_.keep_undo(identity, std::move(undo));
    if (loans_.any()) pool_.ask_to_look();  // the caller may die before it completes the call
  }
  const CallRecord record{.origin = origin,
                          .registry = registry,
                          .caller = caller,
                          .raw = raw,
                          .call = decoded,
                          .value = reply.value(),
                          .denial = denial,
                          .shmid = reply.shmid(),
                          .changed = reply.changed(),
                          .completed_by_caller = completed_by_caller,
                          .contents = &reply.contents()};
  observer_.decided(record);
  // The call is answered already if the caller could not be taken over: Caller::confirm().
  const bool delivered = call.answered() || call.answer(reply.value());
  observer_.answered(record, delivered);
  if (judged.decided) judge_.answered(call, caller.account(), *judged.decided, delivered);
}

void CallDispatcher::change_namespaces(PendingCall& call, uid_t user) {
  if (options_.on_namespace_change && makes_ipc_namespace_for_child(call.raw())) {
    pool_.ensure_receiver();
    follow_clone(call, followed_clones_, user,
                 [&](pid_t child) { options_.on_namespace_change(child, user); });
    return;
  }
  const bool may_change = may_leave_segments(call.raw()) ||
                          (options_.on_namespace_change && may_change_ipc_namespace(call.raw()));
  if (!may_change) {
    threads_seen_.namespaces_change(call.tid());
    call.let_through();
    return;
  }
  // Without that the caller is held for microseconds.
  if (options_.on_namespace_change && !namespace_turns_.enter(user, call.notification())) {
    call.hand_over();
    return;
  }
  pool_.ensure_receiver();
  change_in_turn(call, user);
  if (options_.on_namespace_change) end_turn(user);
}

void CallDispatcher::end_turn(uid_t user) noexcept {
  for (;;) {
    const auto next = namespace_turns_.leave(user, successor());
    if (must_end() && namespace_turns_.has_next()) pool_.ask_to_look();
    if (!next) return;
    change_late(*next, user);
  }
}

void CallDispatcher::change_late(const seccomp_notif& notif, uid_t user) noexcept {
  // Its thread may be another one by now, or wait with another notification.
  if (!listener_.waits_still(notif.id)) return;
  PendingCall call(listener_, notif);
  change_in_turn(call, user);
}

void CallDispatcher::change_in_turn(PendingCall& call, uid_t user) noexcept {
  try {
    const pid_t tid = call.tid();
    threads_seen_.namespaces_change(tid);
    const std::uint64_t before = namespace_inode(tid, Namespace::kIpc);
    const auto stop = let_through_and_hold(call);
    if (!stop) return;
    if (may_leave_segments(call.raw()) && namespace_inode(tid, Namespace::kIpc) != before) {
      namespaces_.left({tid, threads_seen_.of(tid).identity->unique()}, before);
    }
    if (options_.on_namespace_change) options_.on_namespace_change(tid, user);
  } catch (const std::exception& error) {  // no memory, most likely
    fail(call, user, error);
  }
}

}  // namespace shmvisor
