// with_roomy_stack: runs a program's main part on a stack that is large enough.
//
// The first thread's stack ends where RLIMIT_STACK says, which is meant for the command and may be
// a few pages. Only a process with CAP_SYS_RESOURCE can raise it. So where it is small the main
// part runs, on the same thread, on a stack from mmap(2). Stacks of other threads, which would be
// as small, get a size of their own.
//
// Thread rule: main(), before there are other threads.
#pragma once

#include <functional>

namespace shmvisor {

/// What `body` returns. Precondition: it does not throw.
int with_roomy_stack(const std::function<int()>& body);

}  // namespace shmvisor
