// Access: the rights of a mapping.
#pragma once

namespace shmvisor {

struct Access {
  bool read = false;
  bool write = false;
  bool execute = false;

  friend constexpr bool operator==(const Access&, const Access&) = default;
};

}  // namespace shmvisor
