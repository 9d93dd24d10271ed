// WarnOnce: a warning that is logged once in this object's life, since its cause may come again and
// again.
//
// Thread rule: any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

namespace shmvisor {

class WarnOnce {
 public:
  template <typename... Arguments>
  void operator()(spdlog::format_string_t<Arguments...> text, Arguments&&... arguments) {
    if (!told_.test_and_set()) spdlog::warn(text, std::forward<Arguments>(arguments)...);
  }

 private:
  std::atomic_flag told_;
};

}  // namespace shmvisor
