#include "supervisor/procfiles/mount_identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

/// "self/fdinfo/N".
class FdinfoPath {
 public:
  explicit FdinfoPath(int fd) {
    constexpr const char* kFolder = "self/fdinfo/";
    const std::size_t length = std::strlen(kFolder);
    std::memcpy(text_.data(), kFolder, length);
    char* end = text_.data() + length;
    std::array<char, 12> digits{};
    std::size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + fd % 10);
      fd /= 10;
    } while (fd > 0);
    while (count > 0) *end++ = digits[--count];
  }
  [[nodiscard]] const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 32> text_{};
};

/// The lines of a file, of which it may have any number; what is longer than a few KiB is cut.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}
  /// Null at the end.
  const char* next() {
    std::size_t length = 0;
    for (bool any = false;; any = true) {
      if (begin_ == end_ && !fill()) {
        if (!any) return nullptr;
        break;
      }
      const char byte = buffer_[begin_++];
      if (byte == '\n') break;
      if (length + 1 < line_.size()) line_[length++] = byte;
    }
    line_[length] = '\0';
    return line_.data();
  }

 private:
  bool fill() {
    ssize_t got = 0;
    do {
      got = ::read(fd_, buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    begin_ = 0;
    end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    return got > 0;
  }

  const int fd_;
  std::array<char, 4096> buffer_{};
  std::array<char, 8192> line_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Whether the word at `text` is `word`.
bool is_word(const char* text, const char* word) {
  const std::size_t length = std::strlen(word);
  return std::strncmp(text, word, length) == 0 && (text[length] == ' ' || text[length] == '\0');
}

/// A line of mountinfo: "ID PARENT DEVICE ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS",
/// proc(5). A blank in a name is written otherwise. `source`: null for any.
bool is_line_of(const char* line, const char* type, const char* source) {
  const char* const behind = std::strstr(line, " - ");
  if (behind == nullptr || !is_word(behind + 3, type)) return false;
  const char* const its_source = std::strchr(behind + 3, ' ');
  return source == nullptr || (its_source != nullptr && is_word(its_source + 1, source));
}

}  // namespace

long MountIdentity::mount_of(int fd) const {
  const UniqueFd info(::openat(own_proc_, FdinfoPath(fd).c_str(), O_RDONLY | O_CLOEXEC));
  if (!info.valid()) return -1;
  constexpr const char* kField = "mnt_id:";
  Lines lines(info.get());
  while (const char* const line = lines.next()) {
    if (std::strncmp(line, kField, std::strlen(kField)) == 0) {
      return std::strtol(line + std::strlen(kField), nullptr, 10);
    }
  }
  return -1;
}

bool MountIdentity::is_same(int fd, int other) const {
  const long mount = mount_of(fd);
  return mount >= 0 && mount == mount_of(other);
}

bool MountIdentity::is_of(int fd, const char* type, const char* source) const {
  const long mount = mount_of(fd);
  const UniqueFd mounts(::openat(own_proc_, "self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (mount < 0 || !mounts.valid()) return false;
  Lines lines(mounts.get());
  while (const char* const line = lines.next()) {
    if (std::strtol(line, nullptr, 10) == mount) return is_line_of(line, type, source);
  }
  return false;
}

std::optional<std::size_t> MountIdentity::count(const char* type, const char* source,
                                                std::span<const long> mounts,
                                                std::span<bool> found) const {
  const UniqueFd all(::openat(own_proc_, "self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!all.valid()) return std::nullopt;
  Lines lines(all.get());
  std::size_t looked_at = 0;
  std::size_t of_that_kind = 0;
  while (const char* const line = lines.next()) {
    if (++looked_at > kMostMounts) return std::nullopt;
    if (!is_line_of(line, type, source)) continue;
    ++of_that_kind;
    const long mount = std::strtol(line, nullptr, 10);
    for (std::size_t i = 0; i < mounts.size(); ++i) {
      if (mounts[i] == mount) found[i] = true;
    }
  }
  if (looked_at == 0) return std::nullopt;
  return of_that_kind;
}

}  // namespace shmvisor
