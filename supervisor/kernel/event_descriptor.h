// An eventfd by which one process tells another one, or itself, that there is news.
//
// Thread rule: any thread.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace shmvisor {

inline void tell_by(int event) {
  const std::uint64_t one = 1;
  (void)!::write(event, &one, sizeof(one));
}

/// What was told is seen to now. Precondition: the descriptor does not block.
inline void take_news(int event) {
  std::uint64_t count = 0;
  (void)!::read(event, &count, sizeof(count));
}

}  // namespace shmvisor
