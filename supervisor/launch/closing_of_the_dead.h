// ClosingOfTheDead: closes in other processes what a server that died had open: a stranger may
// decide how long that takes (closing_process.h), and the keeper waits for no stranger.
//
// Errors: where there is no memory or no process for it, the descriptors are closed here.
// Ownership: those that were added. Thread rule: the keeper's thread.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include "supervisor/tasks/closing_process.h"

namespace shmvisor {

class ClosingOfTheDead {
 public:
  void add(int fd) {
    files_.at(count_++) = fd;
    if (count_ == files_.size()) flush();
  }

  /// Closes what was added.
  void flush() {
    if (count_ == 0) return;
    const std::span<int> files = std::span(files_).first(count_);
    count_ = 0;
    std::ranges::sort(files);
    (void)over();  // so that there is a place
    const auto place =
        std::ranges::find_if(processes_, [](const auto& process) { return process == nullptr; });
    if (place != processes_.end()) {
      *place = ClosingProcess::begin(files, ClosingProcess::Memory::kCopied);
      if (*place != nullptr && (*place)->wait_until_ready(ClosingProcess::kReadyBound)) {
        (*place)->close_ours();
        return;
      }
    }
    for (const int fd : files) ::close(fd);
  }

  /// Whether all is closed.
  [[nodiscard]] bool over() {
    bool over = true;
    for (auto& process : processes_) {
      if (process == nullptr) continue;
      if (process->gone()) {
        process.reset();
        continue;
      }
      over = false;
      if (std::chrono::steady_clock::now() >= process->since() + ClosingProcess::kCloseBound)
        process->kill();
    }
    return over;
  }

 private:
  std::array<int, ClosingProcess::kMostFiles> files_{};
  std::size_t count_ = 0;
  std::array<std::unique_ptr<ClosingProcess>, 64> processes_;
};

}  // namespace shmvisor
