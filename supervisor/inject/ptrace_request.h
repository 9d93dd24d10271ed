// ptrace(2), whose last two arguments are addresses or plain numbers, by request.
//
// Answers what ptrace(2) answers, with errno. Thread rule: the tracing thread.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <cstdint>

namespace shmvisor {

inline long ptrace_value(__ptrace_request request, pid_t tid, std::uint64_t address,
                         std::uint64_t data) {
  return ::ptrace(request, tid, reinterpret_cast<void*>(address), reinterpret_cast<void*>(data));
}

inline long ptrace_pointer(__ptrace_request request, pid_t tid, std::uint64_t address, void* data) {
  return ::ptrace(request, tid, reinterpret_cast<void*>(address), data);
}

}  // namespace shmvisor
