// ProcessScope: which processes we serve; asked each time that all of them have to be looked at.
//
// A list from /proc is out of date as soon as it is made: processes end and others begin.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <vector>

#include "policy/base/result.h"

namespace shmvisor {

/// As processes() answers them.
inline void sort_once(std::vector<pid_t>& pids) {
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
}

class ProcessScope {
 public:
  ProcessScope() = default;
  ProcessScope(const ProcessScope&) = delete;
  ProcessScope& operator=(const ProcessScope&) = delete;
  virtual ~ProcessScope() = default;

  /// Thread group ids, each once, in our pid namespace. Any thread may ask. Errors: EMFILE, ENFILE
  /// and ENOMEM, where they cannot be told.
  [[nodiscard]] virtual Result<std::vector<pid_t>> processes() const = 0;
  /// A call of this process was served, so it is one of them, whatever its number says of its age.
  virtual void note_served(pid_t pid) const { static_cast<void>(pid); }
  /// Whether there are no strangers among them.
  [[nodiscard]] virtual bool is_exact() const { return true; }
  /// Where it is not exact: processes whose descendants surely belong to it. Some may have ended.
  [[nodiscard]] virtual std::vector<pid_t> ancestors() const { return {}; }
};

}  // namespace shmvisor
