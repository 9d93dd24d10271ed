// Errors that tell nothing about what was asked.
#pragma once

#include <cerrno>

#include "policy/base/result.h"

namespace shmvisor {

/// Whether something failed because this process, or the machine, is out of descriptors or memory.
/// Then nothing is known of the process that was looked at, and no answer may be made up.
constexpr bool is_shortage(Errno error) {
  return error == Errno(EMFILE) || error == Errno(ENFILE) || error == Errno(ENOMEM);
}

}  // namespace shmvisor
