#include "supervisor/memory/run_aside.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

std::atomic<int> g_running{0};

void* run(void* argument) {
  {
    const std::unique_ptr<std::function<void()>> work(
        static_cast<std::function<void()>*>(argument));
    (*work)();
  }
  g_running.fetch_sub(1);
  return nullptr;
}

}  // namespace

void run_aside(std::function<void()> work) {
  if (g_running.fetch_add(1) >= kMostAside) {
    g_running.fetch_sub(1);
    return;
  }
  auto owned = std::make_unique<std::function<void()>>(std::move(work));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals are for other threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, run, owned.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) {
    (void)owned.release();
    return;
  }
  g_running.fetch_sub(1);
  spdlog::debug("no thread to free memory in: {}", std::strerror(error));
}

}  // namespace shmvisor
