// RawRegisters of x86-64, which has all in the system's own struct.
#pragma once

#include <sys/user.h>

namespace shmvisor {

using RawRegisters = user_regs_struct;

}  // namespace shmvisor
