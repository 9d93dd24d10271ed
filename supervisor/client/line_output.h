// LineOutput: whole lines on standard output, for who follows a run as long as that lasts.
//
// A file on a full disk keeps whole lines. The calls of those that find no room are counted, and a
// line tells of them where they would have been, once there is room again; that is tried where a
// line comes, once a second at most. So the audit does (AuditFile).
//
// Errors: a Problem, of what does not pass by itself. Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

class LineOutput {
 public:
  static constexpr std::chrono::seconds kBetweenTries{1};

  using LostLine = std::function<std::string(std::uint64_t calls)>;

  /// `name`: of the file, for sentences. `lost`: the line for so many calls, without its newline.
  LineOutput(std::string name, LostLine lost)
      : name_(std::move(name)), lost_line_(std::move(lost)) {}

  /// A line without its newline, which tells of so many calls.
  Result<void, Problem> add(const std::string& line, std::uint64_t calls = 1);
  /// To be called before something is waited for: what was added is to be seen.
  Result<void, Problem> flush();
  /// At the end: a Problem where no line tells of calls that are missing.
  Result<void, Problem> finish();

 private:
  using Clock = std::chrono::steady_clock;

  struct Line {
    std::size_t end = 0;  ///< in text_
    std::uint64_t calls = 0;
  };

  void append(const std::string& line, std::uint64_t calls);
  void append_lost();
  /// All of text_, which is empty then; what is not written is counted. An errno, or 0.
  int write_all();
  /// Takes away what is written of the last line. False where it stays.
  static bool take_back(std::size_t bytes);

  const std::string name_;
  const LostLine lost_line_;
  std::string text_;  ///< of lines_
  std::vector<Line> lines_;
  std::uint64_t lost_ = 0;  ///< calls of which no line tells
  bool is_full_ = false;
  bool is_torn_ = false;  ///< the last line that was written has no end
  Clock::time_point next_try_;
};

}  // namespace shmvisor::client
