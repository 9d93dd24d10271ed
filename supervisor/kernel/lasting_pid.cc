#include "supervisor/kernel/lasting_pid.h"

#include <unistd.h>

namespace shmvisor {
namespace {

/// Taken before main(). A server is a copy of the keeper (clone_server()), and inherits it.
const pid_t begun_as = ::getpid();

}  // namespace

pid_t lasting_pid() { return begun_as; }

}  // namespace shmvisor
