// An object in memory that processes share who are forked, or cloned, after it was made.
//
// Pages that nobody writes cost nothing, and are zero: what need not be initialized is not written.
//
// Ownership: mapped for ever, at the same address in each of these processes. Thread rule: any
// thread.
#pragma once

#include <sys/mman.h>

#include <new>

namespace shmvisor {

/// Default-initialized; null where there is no memory.
template <typename Object>
[[nodiscard]] Object* make_shared_object() {
  void* const place = ::mmap(nullptr, sizeof(Object), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return place == MAP_FAILED ? nullptr : new (place) Object;
}

}  // namespace shmvisor
