#include "supervisor/serve/server.h"

#include <poll.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/serve/process_caller.h"

namespace shmvisor {
namespace {

/// Served calls are shallow; a small stack keeps an idle supervisor small.
constexpr std::size_t kStackBytes = std::size_t{256} * 1024;
/// How long a call may keep the only receiver: many times an attach.
constexpr long kPatienceNs = 1'000'000;

void raise_event(const UniqueFd& event, std::uint64_t count) {
  (void)!::write(event.get(), &count, sizeof(count));  // fails only beyond 2^64 - 2
}

void take_event(const UniqueFd& event) {
  std::uint64_t count = 0;
  (void)!::read(event.get(), &count, sizeof(count));  // nothing left: another thread took it
}

}  // namespace

/// The caller of a call that is being served; while it keeps us, another thread receives.
class Server::ServedCaller : public ProcessCaller {
 public:
  ServedCaller(Server& server, PendingCall& call, KnownThread thread)
      : ProcessCaller(call, std::move(thread), server.expected_, server.features_,
                      server.refusals_),
        server_(server) {}

  void long_step() override { server_.ensure_receiver(); }

 private:
  Server& server_;
};

Server::Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
               const ServerOptions& options)
    : listener_(listener),
      namespaces_(namespaces),
      features_(features),
      options_(options),
      threads_seen_(features, options.sees_namespace_changes),
      expected_([this] { ensure_receiver(); }) {}

Result<void> Server::start() {
  const std::lock_guard lock(mutex_);
  // Made only now: a server at rest since its beginning costs no descriptor.
  if (!wanted_.valid()) wanted_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
  if (!patience_.valid()) {
    patience_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  }
  if (!wanted_.valid() || !patience_.valid()) return Errno(EMFILE);
  resting_ = false;
  if (receivers_.load() != 0) return {};
  if (parked_ != 0) {
    raise_event(wanted_, 1);
    return {};
  }
  if (!add_thread()) return Errno(EAGAIN);
  return {};
}

void Server::rest() {
  const std::lock_guard lock(mutex_);
  resting_ = true;
  if (threads_ == 0) {
    wanted_.reset();
    patience_.reset();
    return;
  }
  if (parked_ != 0) raise_event(wanted_, static_cast<std::uint64_t>(parked_));
  const pid_t receiver = receiver_tid_.load();
  if (receiver != 0) ::syscall(SYS_tgkill, getpid(), receiver, KickTimer::signal_number());
}

bool Server::idle() const {
  const std::lock_guard lock(mutex_);
  return threads_ == 0;
}

bool Server::add_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread{};
  const auto entry = [](void* self) -> void* {
    static_cast<Server*>(self)->run();
    return nullptr;
  };
  ++threads_;
  const int error = pthread_create(&thread, &attributes, entry, this);
  pthread_attr_destroy(&attributes);
  if (error == 0) return true;
  --threads_;
  spdlog::warn("no new serving thread: errno {}; calls may wait for one another", error);
  return false;
}

void Server::ensure_receiver() {
  if (receivers_.load() != 0) return;
  const std::lock_guard lock(mutex_);
  if (receivers_.load() != 0) return;
  if (parked_ != 0) {
    raise_event(wanted_, 1);
  } else if (threads_ < options_.most_threads) {
    add_thread();
  }
}

void Server::be_patient(bool begin) {
  itimerspec patience{};
  if (begin) patience.it_value.tv_nsec = kPatienceNs;
  ::timerfd_settime(patience_.get(), 0, &patience, nullptr);
}

bool Server::become_receiver() {
  std::unique_lock lock(mutex_);
  while (!over_ && !resting_) {
    if (receivers_.load() == 0) {
      receivers_.fetch_add(1);
      // Somebody must be left to take over when this one is kept.
      if (parked_ == 0 && threads_ < options_.most_threads) add_thread();
      return true;
    }
    if (parked_ >= kMostParked) return false;
    ++parked_;
    lock.unlock();
    std::array<pollfd, 2> waiting{{{wanted_.get(), POLLIN, 0}, {patience_.get(), POLLIN, 0}}};
    (void)::poll(waiting.data(), waiting.size(), -1);
    if (waiting[0].revents != 0) take_event(wanted_);
    if (waiting[1].revents != 0) take_event(patience_);
    lock.lock();
    --parked_;
  }
  return false;
}

void Server::run() {
  KickTimer::allow_on_this_thread();
  while (become_receiver()) {
    receiver_tid_.store(gettid());
    const auto notif = listener_.receive();
    receiver_tid_.store(0);
    receivers_.fetch_sub(1);
    if (notif) {
      received_.fetch_add(1, std::memory_order_relaxed);
      if (listener_.call_waits()) ensure_receiver();
      serve(*notif);
      while (const auto returned = expected_.take_back()) serve(*returned);
      continue;
    }
    // ENOENT is also said of one call that was gone before it could be read.
    const bool one_call_gone = notif.error() == Errno(ENOENT) && !listener_.ended();
    if (notif.error() == Errno(EINTR) || one_call_gone) continue;
    const std::lock_guard lock(mutex_);
    over_ = true;
    raise_event(wanted_, static_cast<std::uint64_t>(options_.most_threads));
  }
  const std::lock_guard lock(mutex_);
  --threads_;
  ended_.notify_all();
}

void Server::serve(const seccomp_notif& notif) {
  if (expected_.claim(notif)) return;
  PendingCall call(listener_, notif);
  if (call.tid() <= 0) {
    if (!told_of_strangers_.test_and_set()) {
      spdlog::warn("a call comes from a process outside of our pid namespace: not served");
    }
    return;
  }
  const RawCall raw = call.raw();
  if (changes_namespaces(raw)) {
    change_namespaces(call);
    return;
  }
  KnownThread thread = threads_seen_.of(call.tid());
  const std::shared_ptr<Registry> registry = namespaces_.of(*thread.identity);
  if (registry == nullptr) {
    call.answer(-ENOMEM);
    return;
  }
  ServedCaller caller(*this, call, std::move(thread));
  // A shmget neither copies nor maps, so it has nothing to wait for.
  const bool may_be_kept = !is_shmget(raw);
  if (may_be_kept) be_patient(true);
  Reply reply = answer_call(raw, caller, *registry);
  if (may_be_kept) be_patient(false);
  if (reply.changes()) caller.secure_answer();
  const bool delivered = call.answer(reply.value());
  if (delivered) reply.commit();
  if (spdlog::should_log(spdlog::level::debug)) {
    spdlog::debug("thread {}: call {}({:#x}, {:#x}, {:#x}) = {}{}", call.tid(), raw.number,
                  raw.arguments[0], raw.arguments[1], raw.arguments[2], reply.value(),
                  delivered ? "" : ", not delivered");
  }
}

void Server::change_namespaces(PendingCall& call) {
  const pid_t tid = call.tid();
  const bool may_leave = may_leave_segments(call.raw());
  const KnownThread thread = threads_seen_.of(tid);
  threads_seen_.namespaces_change(tid);
  if (!may_leave && (!entered_ || !may_change_ipc_namespace(call.raw()))) {
    call.let_through();
    return;
  }
  ensure_receiver();
  const std::uint64_t before = NamespaceIds::of_thread(tid).ipc;
  // On its way back from the kernel, where it has what it asked for, it stops. Where somebody else
  // traces it, it goes on at once.
  auto stop = PtraceStop::seize(tid);
  call.let_through();
  if (!stop || !stop->wait_until_stopped()) return;
  if (may_leave && NamespaceIds::of_thread(tid).ipc != before) {
    namespaces_.left({tid, thread.identity->unique()});
  }
  if (entered_) entered_(tid);
}

bool Server::wait_for_end() {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, std::chrono::seconds(1), [this] { return threads_ == 0; });
}

}  // namespace shmvisor
