// ptrace(PTRACE_SEIZE), by an instruction whose address is known, so that a signal handler can lead
// the thread past it: see inject/bounded_seize.h.
//
// Implemented once for each architecture, in a folder beside this file. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace shmvisor {

/// 0, or an errno negated.
[[nodiscard]] long seize_call(pid_t tid, std::uint64_t options);

/// For a signal handler, whose ucontext_t `context` is: where the thread is about to make that
/// call, for the first time or anew, it does not, and the call answers -EAGAIN.
void skip_seize_call(void* context);

}  // namespace shmvisor
