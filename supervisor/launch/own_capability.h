// Whether this process has a capability, capabilities(7), effective in its own user namespace.
#pragma once

#include <sys/capability.h>

#include <memory>

namespace shmvisor {

[[nodiscard]] inline bool has_own_capability(cap_value_t capability) {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> ours(::cap_get_proc(),
                                                                           &::cap_free);
  cap_flag_value_t value = CAP_CLEAR;
  return ours != nullptr && ::cap_get_flag(ours.get(), capability, CAP_EFFECTIVE, &value) == 0 &&
         value == CAP_SET;
}

}  // namespace shmvisor
