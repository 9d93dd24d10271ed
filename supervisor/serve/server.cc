#include "supervisor/serve/server.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <csignal>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/serve/process_caller.h"

namespace shmvisor {
namespace {

/// Served calls are shallow; a small stack keeps an idle supervisor small.
constexpr std::size_t kStackBytes = 256 * 1024;

}  // namespace

Result<void> Server::start() {
  if (!add_thread()) return Errno(EAGAIN);
  return {};
}

bool Server::add_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  waiting_.fetch_add(1);
  threads_.fetch_add(1);
  pthread_t thread{};
  const auto entry = [](void* self) -> void* {
    static_cast<Server*>(self)->run();
    return nullptr;
  };
  const int error = pthread_create(&thread, &attributes, entry, this);
  pthread_attr_destroy(&attributes);
  if (error == 0) return true;
  waiting_.fetch_sub(1);
  threads_.fetch_sub(1);
  spdlog::warn("no new serving thread: errno {}; calls may wait for one another", error);
  return false;
}

void Server::run() {
  KickTimer::allow_on_this_thread();
  for (;;) {
    const auto notif = listener_.receive();
    if (!notif) {
      // ENOENT is also said of one call that was gone before it could be read.
      if (notif.error() == Errno(EINTR)) continue;
      if (notif.error() == Errno(ENOENT) && !listener_.ended()) continue;
      break;
    }
    if (waiting_.fetch_sub(1) == 1 && threads_.load() < kMostThreads) add_thread();
    serve(*notif);
    if (waiting_.load() >= kMostIdle) break;
    waiting_.fetch_add(1);
  }
  const std::lock_guard lock(mutex_);
  threads_.fetch_sub(1);
  ended_.notify_all();
}

void Server::serve(const seccomp_notif& notif) {
  if (expected_.claim(notif)) return;
  PendingCall call(listener_, notif);
  const RawCall raw = call.raw();
  if (changes_namespaces(raw)) {
    threads_seen_.namespaces_change(call.tid());
    call.let_through();
    return;
  }
  KnownThread thread = threads_seen_.of(call.tid());
  const std::shared_ptr<Registry> registry = namespaces_.of(*thread.identity);
  ProcessCaller caller(call, std::move(thread), expected_, features_, refusals_);
  Reply reply = answer_call(raw, caller, *registry);
  const bool delivered = call.answer(reply.value());
  if (delivered) reply.commit();
  if (spdlog::should_log(spdlog::level::debug)) {
    spdlog::debug("thread {}: call {}({:#x}, {:#x}, {:#x}) = {}{}", call.tid(), raw.number,
                  raw.arguments[0], raw.arguments[1], raw.arguments[2], reply.value(),
                  delivered ? "" : ", not delivered");
  }
}

bool Server::wait_for_end() {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, std::chrono::seconds(1), [this] { return threads_.load() == 0; });
}

}  // namespace shmvisor
