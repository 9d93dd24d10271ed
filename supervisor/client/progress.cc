#include "supervisor/client/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "supervisor/client/graph_text.h"

namespace shmvisor::client {
namespace {

constexpr std::chrono::seconds kBeforeTheFirst{1};
constexpr std::chrono::milliseconds kBetween{250};
/// To the first column, and nothing behind it.
constexpr const char* kFreshLine = "\r\033[K";

}  // namespace

Progress::Progress(std::string what, std::uint64_t all_bytes)
    : what_(std::move(what)),
      all_bytes_(all_bytes),
      is_seen_(::isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + kBeforeTheFirst) {}

Progress::~Progress() {
  if (has_line_) (void)std::fputs(kFreshLine, stderr);
}

void Progress::at(std::uint64_t bytes) {
  if (!is_seen_ || Clock::now() < next_) return;
  next_ = Clock::now() + kBetween;
  std::string line = kFreshLine + what_ + ": " + size_text(bytes);
  if (all_bytes_ != 0) {
    constexpr double kWhole = 100;
    const double part = static_cast<double>(bytes) / static_cast<double>(all_bytes_);
    line += " of " + size_text(all_bytes_) + " (" +
            std::to_string(static_cast<int>(part * kWhole)) + "%)";
  }
  (void)std::fputs(line.c_str(), stderr);
  has_line_ = true;
}

}  // namespace shmvisor::client
