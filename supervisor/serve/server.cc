#include "supervisor/serve/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "policy/base/error_result.h"
#include "supervisor/inject/attach_to_caller.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/kernel/detached_thread.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/process/accountable_user.h"
#include "supervisor/serve/denial_log.h"
#include "supervisor/serve/followed_clone.h"
#include "supervisor/serve/process_caller.h"

namespace shmvisor {
namespace {

/// Served calls are shallow; a small stack keeps an idle supervisor small.
constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

/// Calls that so many threads may serve: others receive, or are on their way there.
int calls_of(int threads) { return std::max(threads - 4, 1); }

cpu_set_t our_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  (void)::sched_getaffinity(0, sizeof(set), &set);
  return set;
}

}  // namespace

/// The caller of a call that is being served; while it keeps us, another thread receives.
class Server::ServedCaller : public ProcessCaller {
 public:
  ServedCaller(Server& server, PendingCall& call, KnownThread thread,
               std::shared_ptr<const NamespaceOwner> owner, const CallPage* call_page, uid_t user)
      : ProcessCaller(call, std::move(thread), std::move(owner), server.expected_, server.features_,
                      server.refusals_, call_page, &server.loans_,
                      {&server.tracer_patience_, user}),
        server_(server) {}

  void long_step() override { server_.ensure_receiver(); }
  void short_step() override {
    if (server_.listener_.call_waits()) server_.ensure_receiver();
  }
  Result<void> copy_from_user(std::uint64_t address, std::span<std::byte> bytes) override {
    server_.expect_wait();
    return ProcessCaller::copy_from_user(address, bytes);
  }
  Result<void> copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) override {
    server_.expect_wait();
    return ProcessCaller::copy_to_user(address, bytes);
  }

 private:
  Server& server_;
};

Server::Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
               const ServerOptions& options)
    : listener_(listener),
      namespaces_(namespaces),
      features_(features),
      options_(options),
      tracer_patience_(options.tracer_wait),
      threads_seen_(features, options.remembered, options.most_remembered),
      expected_([this] { ensure_receiver(); }),
      own_budget_(options.most_threads),
      shares_(
          options.budget == nullptr ? own_budget_ : *options.budget, options.payer_group,
          calls_of(options.most_threads),
          [this](const seccomp_notif& notif) { return listener_.alive(notif.id); },
          [this] { lookout_.ask(); }),
      cpus_(our_cpus()),
      lookout_([this] { return look(); }) {}

Result<void> Server::start() {
  const std::lock_guard lock(mutex_);
  // Only now: a server at rest since its beginning costs neither descriptor nor thread.
  if (auto started = lookout_.start(); !started) return started;
  resting_ = false;
  if (!call_receiver()) return Errno(EAGAIN);
  return {};
}

void Server::rest() {
  std::unique_lock lock(mutex_);
  resting_ = true;
  wake_receivers();
  const bool last_gone = threads_ == 0;
  lock.unlock();
  if (last_gone) lookout_.stop();
}

void Server::wake_receivers() {
  called_.notify_all();
  for (const Worker* const worker : workers_) {
    if (!worker->receiving.load()) continue;
    ::syscall(SYS_tgkill, getpid(), worker->tid, KickTimer::signal_number());
  }
}

bool Server::idle() const {
  const std::lock_guard lock(mutex_);
  return threads_ == 0;
}

template <Server::Begin begin>
void* Server::enter(void* self) {
  static_cast<Server*>(self)->run(begin);
  return nullptr;
}

bool Server::add_thread(Begin begin) {
  if (threads_ >= options_.most_threads) return false;
  try {
    // So that the thread need not allocate to enter itself.
    workers_.reserve(static_cast<std::size_t>(threads_) + 1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  auto* const entry = begin == Begin::kParked ? enter<Begin::kParked> : enter<Begin::kResuming>;
  const int error = start_detached(entry, this, kStackBytes);
  if (error == 0) {
    ++threads_;
    if (begin == Begin::kParked) ++parked_;
    shares_.limit_to(calls_of(options_.most_threads));
    return true;
  }
  // Whoever calls now shall not take the last thread, which receives.
  shares_.limit_to(threads_ - 1);
  log_limited(spdlog::level::warn, LogTopic::kThreads, LogLimiter::kNobody,
              "no new serving thread: {}; calls may wait for one another", std::strerror(error));
  return false;
}

void Server::ensure_receiver() {
  if (receivers_.load() != 0) return;
  const std::lock_guard lock(mutex_);
  call_receiver();
}

void Server::expect_wait() {
  if (served_.load(std::memory_order_relaxed) > 1 && receivers_.load() == 0 &&
      listener_.call_waits()) {
    ensure_receiver();
  }
}

bool Server::call_receiver() {
  if (over_ || resting_ || receivers_.load() + calls_to_parked_ != 0) return true;
  if (parked_ == 0 && !add_thread()) return false;
  ++calls_to_parked_;
  called_.notify_one();
  return true;
}

std::chrono::milliseconds Server::look() {
  const auto for_loans = loans_.look(features_);
  look_after_aside();
  return look_after_receiver() ? Lookout::kLater : for_loans;
}

void Server::look_after_aside() {
  if (!shares_.can_resume()) return;
  // In a thread of its own: the others are to receive. Where none can be had, a call that is over
  // makes room all the same.
  const std::lock_guard lock(mutex_);
  if (!over_ && !resting_) add_thread(Begin::kResuming);
}

bool Server::look_after_receiver() {
  if (receivers_.load() != 0) return false;
  const std::uint64_t received = received_.load();
  if (received != std::exchange(looked_at_, received)) return true;
  ensure_receiver();
  return false;
}

bool Server::become_receiver(std::unique_lock<std::mutex>& lock) {
  while (!over_ && !resting_) {
    if (receivers_.load() == 0) {
      receivers_.fetch_add(1);
      // Somebody must be left to take over when this one is kept.
      if (parked_ == calls_to_parked_) add_thread();
      return true;
    }
    if (parked_ >= kMostParked) return false;
    ++parked_;
    park(lock);
  }
  return false;
}

void Server::park(std::unique_lock<std::mutex>& lock) {
  called_.wait(lock, [this] { return calls_to_parked_ != 0 || over_ || resting_; });
  --parked_;
  if (calls_to_parked_ != 0) --calls_to_parked_;
}

void Server::run(Begin begin) {
  KickTimer::allow_on_this_thread();
  // A thread begins with the CPUs of the one that made it, which may hold a CpuPin.
  (void)::sched_setaffinity(0, sizeof(cpus_), &cpus_);
  Worker self{gettid()};
  std::unique_lock lock(mutex_);
  workers_.push_back(&self);
  if (begin == Begin::kParked) {
    park(lock);
  } else {
    lock.unlock();
    served_.fetch_add(1, std::memory_order_relaxed);
    while (auto next = shares_.resume()) serve_admitted(std::move(next));
    served_.fetch_sub(1, std::memory_order_relaxed);
    lock.lock();
  }
  // Whom this thread gave up is let go by the kernel when the thread ends.
  while (!(PtraceStop::left_somebody_attached() && call_receiver()) && become_receiver(lock)) {
    lock.unlock();
    self.receiving.store(true);
    const auto notif = listener_.receive();
    self.receiving.store(false);
    if (notif) received_.fetch_add(1);
    receivers_.fetch_sub(1);
    if (notif) {
      served_.fetch_add(1, std::memory_order_relaxed);
      serve(*notif);
      while (const auto returned = expected_.take_back()) serve(*returned);
      served_.fetch_sub(1, std::memory_order_relaxed);
    }
    lock.lock();
    if (notif) continue;
    // ENOENT is also said of one call that was gone before it could be read.
    const bool one_call_gone = notif.error() == Errno(ENOENT) && !listener_.ended();
    if (notif.error() == Errno(EINTR) || one_call_gone) continue;
    over_ = true;
    called_.notify_all();
  }
  std::erase(workers_, &self);
  --threads_;
  ended_.notify_all();
}

void Server::serve(const seccomp_notif& notif) noexcept {
  if (const auto user = serve_one(notif, std::nullopt)) serve_admitted(shares_.leave(*user));
}

void Server::serve_admitted(std::optional<CallShares::Next> next) noexcept {
  for (; next; next = shares_.leave(next->user)) serve_one(next->call, next->user);
}

std::optional<uid_t> Server::serve_one(const seccomp_notif& notif,
                                       std::optional<uid_t> admitted) noexcept {
  PendingCall call(listener_, notif);
  try {
    if (!admitted && expected_.claim(notif)) {
      call.leave_to_another();
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
    if (options_.call_page != nullptr &&
        options_.call_page->message(call.data()) == CallPage::Message::kFetch) {
      loans_.answer(call, thread.identity->unique());  // the rest of one that was admitted
      return admitted;
    }
    if (!admitted) admitted = admit(call, thread);
    if (admitted) answer(call, std::move(thread), *admitted);
  } catch (const std::exception& error) {  // no memory, most likely
    if (!call.answered()) call.answer(-ENOMEM);
    log_limited(spdlog::level::err, LogTopic::kMemory, admitted.value_or(LogLimiter::kNobody),
                "a call of thread {} failed: {}", call.tid(), error.what());
  }
  return admitted;
}

std::optional<uid_t> Server::admit(PendingCall& call, KnownThread& thread) {
  if (!thread.ids) {
    if (auto status = TaskStatus::read(call.tid())) thread.ids = std::move(*status);
  }
  const uid_t user =
      thread.ids ? accountable_user(*thread.identity, thread.ids->uid) : LogLimiter::kNobody;
  switch (shares_.arrive(user, call.notification())) {
    case CallShares::Admission::kServe:
      return user;
    case CallShares::Admission::kStuck:
      call.leave_to_another();  // before there is an exception, which would answer it as well
      log_limited(spdlog::level::warn, LogTopic::kThreads, user,
                  "user {} keeps as many calls in service as it may, so that others find threads; "
                  "its further calls wait until some of them end",
                  user);
      break;
    case CallShares::Admission::kAside:
      call.leave_to_another();
      break;
    case CallShares::Admission::kRefused:
      call.answer(-ENOMEM);
      log_limited(spdlog::level::warn, LogTopic::kThreads, user,
                  "calls of user {} fail with ENOMEM: it keeps as many calls in service as it may, "
                  "and {} more wait already",
                  user, CallShares::kMostAside);
      break;
  }
  return std::nullopt;
}

void Server::answer(PendingCall& call, KnownThread thread, uid_t user) {
  const RawCall raw = call.raw();
  if (changes_namespaces(raw) || makes_ipc_namespace_for_child(raw)) {
    change_namespaces(call, thread);
    return;
  }
  const CallPage* call_page = options_.call_page;
  auto message = CallPage::Message::kNone;
  if (call_page != nullptr) {
    message = call_page->message(call.data());
    const auto undo = thread.identity->take_undo();
    if (undo && message == CallPage::Message::kFailed) undo();
    if (message != CallPage::Message::kNone) call_page = nullptr;
  }
  const auto found = namespaces_.of(*thread.identity, options_.home.get(),
                                    thread.ids ? std::optional(thread.ids->uid) : std::nullopt);
  if (!found) {
    call.answer(-found.error().value());
    return;
  }
  const std::shared_ptr<ThreadIdentity> identity = thread.identity;
  ServedCaller caller(*this, call, std::move(thread), found->owner, call_page, user);
  if (message == CallPage::Message::kMaskRefused) {
    caller.restore_signal_mask();
    call.answer(-EINVAL);
    return;
  }
  const auto operation = operation_of(raw);
  const bool takes_some_time =
      operation == ShmOperation::kShmat || operation == ShmOperation::kShmdt;
  if (takes_some_time && listener_.call_waits()) ensure_receiver();
  // A shmget neither copies nor maps, so it has nothing to wait for.
  if (operation != ShmOperation::kShmget && receivers_.load() == 0) lookout_.ask();
  Reply reply = answer_call(raw, caller, *found->registry);
  const bool mapped = takes_some_time && !is_error_result(reply.value());
  if (caller.cannot_tell() && !mapped && !call.answered()) {
    reply = Errno(ENOMEM);
    log_limited(
        spdlog::level::warn, LogTopic::kRefusedCalls, caller.account(),
        "a call of thread {} fails with ENOMEM: nothing can be read of it, because shmvisor "
        "is out of descriptors or memory",
        call.tid());
  }
  if (reply.denial().known() && operation) {
    log_denial({call.tid(), caller.subject().euid(), caller.account(), *operation,
                Errno(static_cast<int>(-reply.value()))},
               reply.denial());
  }
  // Before the caller can call again.
  auto undo = reply.undo();
  const bool left = undo != nullptr;
  if (left) {
    threads_seen_.keep_undo(*identity, std::move(undo));
    lookout_.ask();  // for it may die before it does its part
  }
  // Answered already where it could not be taken over: Caller::confirm().
  const bool delivered = call.answered() || call.answer(reply.value());
  if (spdlog::should_log(spdlog::level::debug)) {
    spdlog::debug("thread {}: call {}({:#x}, {:#x}, {:#x}) = {}{}{}", call.tid(), raw.number,
                  raw.arguments[0], raw.arguments[1], raw.arguments[2], reply.value(),
                  left ? ", left to it" : "", delivered ? "" : ", not delivered");
  }
}

void Server::change_namespaces(PendingCall& call, const KnownThread& thread) {
  const pid_t tid = call.tid();
  if (options_.on_namespace_change && makes_ipc_namespace_for_child(call.raw())) {
    ensure_receiver();
    follow_clone(call, options_.on_namespace_change);
    return;
  }
  const bool may_leave = may_leave_segments(call.raw());
  threads_seen_.namespaces_change(tid);
  if (!may_leave && (!options_.on_namespace_change || !may_change_ipc_namespace(call.raw()))) {
    call.let_through();
    return;
  }
  ensure_receiver();
  const std::uint64_t before = NamespaceIds::of_thread(tid).ipc;
  const auto stop = let_through_and_hold(call);
  if (!stop) return;
  if (may_leave && NamespaceIds::of_thread(tid).ipc != before) {
    namespaces_.left({tid, thread.identity->unique()});
  }
  if (options_.on_namespace_change) options_.on_namespace_change(tid);
}

bool Server::wait_for_end() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kBound(1);
  constexpr std::chrono::milliseconds kBetweenWakes(5);
  const auto deadline = Clock::now() + kBound;
  std::unique_lock lock(mutex_);
  over_ = true;
  // Again and again: a thread that is just about to receive misses it.
  while (threads_ != 0 && Clock::now() < deadline) {
    wake_receivers();
    ended_.wait_for(lock, kBetweenWakes, [this] { return threads_ == 0; });
  }
  return threads_ == 0;
}

}  // namespace shmvisor
