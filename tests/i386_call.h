// Calls of i386 in a program for x86-64: int 0x80 enters as i386 from 64-bit code as well, so that
// no 32-bit compiler or library is needed.
#pragma once

#include <unistd.h>

#include "supervisor/check/child.h"

namespace shmvisor {

inline long i386_call(long number, long first, long second = 0, long third = 0) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(first), "c"(second), "d"(third), "S"(0L), "D"(0L)
               : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}

/// Whether the kernel has this entry: it may be configured without, and under PVM it is a fault.
inline bool has_i386_calls() {
  constexpr long kGetpid = 20;
  Child child([] { return i386_call(kGetpid, 0) == ::getpid() ? 0 : 1; });
  const auto status = child.wait(0);
  return status && *status == 0;
}

}  // namespace shmvisor
