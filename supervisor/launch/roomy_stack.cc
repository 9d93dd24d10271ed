#include "supervisor/launch/roomy_stack.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#include <cstddef>

namespace shmvisor {
namespace {

constexpr std::size_t kEnoughBytes = std::size_t{512} * 1024;
constexpr std::size_t kThreadStackBytes = std::size_t{256} * 1024;
constexpr std::size_t kGuardBytes = 64UL * 1024;  // a multiple of every page size

/// makecontext(3) passes nothing but ints.
struct Call {
  const std::function<int()>* body = nullptr;
  int result = 0;
};
Call g_call;

void run_body() { g_call.result = (*g_call.body)(); }

}  // namespace

int with_roomy_stack(const std::function<int()>& body) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kEnoughBytes) return body();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  // Pages that are not touched cost nothing.
  void* const stack = ::mmap(nullptr, kGuardBytes + kEnoughBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) return body();
  ::mprotect(stack, kGuardBytes, PROT_NONE);
  static ucontext_t g_before;
  static ucontext_t g_inside;
  g_call.body = &body;
  ::getcontext(&g_inside);
  g_inside.uc_stack.ss_sp = static_cast<std::byte*>(stack) + kGuardBytes;
  g_inside.uc_stack.ss_size = kEnoughBytes;
  g_inside.uc_link = &g_before;
  ::makecontext(&g_inside, &run_body, 0);
  ::swapcontext(&g_before, &g_inside);
  return g_call.result;
}

}  // namespace shmvisor
