#include "supervisor/client/line_output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace shmvisor::client {
namespace {

/// Who comes quickly is not written line by line.
constexpr std::size_t kMostBytes = std::size_t{64} * 1024;

/// Of a file; nothing else has room again.
bool passes(int error) {
  struct stat status {};
  return (error == ENOSPC || error == EDQUOT) && ::fstat(STDOUT_FILENO, &status) == 0 &&
         S_ISREG(status.st_mode);
}

}  // namespace

void LineOutput::append(const std::string& line, std::uint64_t calls) {
  text_ += line;
  text_ += '\n';
  lines_.push_back({text_.size(), calls});
}

void LineOutput::append_lost() {
  const std::uint64_t lost = std::exchange(lost_, 0);
  if (lost != 0) append(lost_line_(lost), lost);
}

Result<void, Problem> LineOutput::add(const std::string& line, std::uint64_t calls) {
  append(line, calls);
  if (text_.size() < kMostBytes) return {};
  return flush();
}

bool LineOutput::take_back(std::size_t bytes) {
  const auto begun = static_cast<off_t>(bytes);
  const off_t end = ::lseek(STDOUT_FILENO, 0, SEEK_CUR);
  struct stat status {};
  // Not where others write to the file, too.
  return end >= begun && ::fstat(STDOUT_FILENO, &status) == 0 && status.st_size == end &&
         ::ftruncate(STDOUT_FILENO, end - begun) == 0 &&
         ::lseek(STDOUT_FILENO, end - begun, SEEK_SET) >= 0;
}

int LineOutput::write_all() {
  const std::string text = std::exchange(text_, {});
  const std::vector<Line> lines = std::exchange(lines_, {});
  std::size_t written = 0;
  int error = 0;
  while (written < text.size() && error == 0) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (count > 0) written += static_cast<std::size_t>(count);
    if (count == 0) error = ENOSPC;
    if (count < 0 && errno != EINTR) error = errno;
  }
  std::size_t whole = 0;
  for (const Line& line : lines) {
    if (line.end <= written) {
      whole = line.end;
    } else {
      lost_ += line.calls;
    }
  }
  if (written != 0) is_torn_ = written != whole && !take_back(written - whole);
  return error;
}

Result<void, Problem> LineOutput::flush() {
  if (text_.empty() && !is_torn_) return {};
  if (is_full_ && Clock::now() < next_try_) {
    for (const Line& line : lines_) lost_ += line.calls;
    text_.clear();
    lines_.clear();
    return {};
  }
  if (lost_ != 0 || is_torn_) {
    // These come first.
    const std::string text = std::exchange(text_, {});
    const std::vector<Line> lines = std::exchange(lines_, {});
    if (is_torn_) append("", 0);  // which ends it
    append_lost();
    const std::size_t before = text_.size();
    text_ += text;
    for (const Line& line : lines) lines_.push_back({before + line.end, line.calls});
  }
  const int error = write_all();
  if (error == 0) {
    is_full_ = false;
    return {};
  }
  if (!passes(error)) return Problem{"cannot write to " + name_ + ": " + std::strerror(error)};
  if (!is_full_) {
    (void)std::fprintf(stderr,
                       "shmvisor: cannot write to %s: %s; calls are left out until there is room\n",
                       name_.c_str(), std::strerror(error));
  }
  is_full_ = true;
  next_try_ = Clock::now() + kBetweenTries;
  return {};
}

Result<void, Problem> LineOutput::finish() {
  next_try_ = {};
  if (text_.empty()) append_lost();
  if (auto flushed = flush(); !flushed) return flushed;
  if (lost_ == 0) return {};
  return Problem{"cannot write to " + name_ + ": there is no room; the last " +
                 std::to_string(lost_) + (lost_ == 1 ? " call is" : " calls are") + " not in it"};
}

}  // namespace shmvisor::client
