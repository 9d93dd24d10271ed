#include "supervisor/attaches/maps_text.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>

#include "policy/base/held_locks.h"

namespace shmvisor {
namespace {

/// Takes a number, and the character behind it, off the text.
template <typename Number>
bool take(std::string_view& text, int base, char behind, Number& number) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || rest == end || *rest != behind) return false;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
  return true;
}

constexpr std::size_t kRights = 4;

bool is_shared(std::string_view line) {
  const std::size_t space = line.find(' ');
  return space != std::string_view::npos && space + kRights < line.size() &&
         line[space + kRights] == 's';
}

}  // namespace

std::optional<MapsText::Area> MapsText::parse(std::string_view line) {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t inode = 0;
  unsigned major_number = 0;
  unsigned minor_number = 0;
  Area parsed;
  if (!take(line, 16, '-', start) || !take(line, 16, ' ', end) || line.size() <= kRights) {
    return std::nullopt;
  }
  const std::string_view rights = line.substr(0, kRights);
  line.remove_prefix(kRights + 1);
  if (!take(line, 16, ' ', parsed.area.file_offset_bytes) || !take(line, 16, ':', major_number) ||
      !take(line, 16, ' ', minor_number) ||
      std::from_chars(line.data(), line.data() + line.size(), inode).ec != std::errc()) {
    return std::nullopt;
  }
  parsed.area.access = {rights[0] == 'r', rights[1] == 'w', rights[2] == 'x'};
  parsed.area.range = {start, end - start};
  parsed.area.file = {makedev(major_number, minor_number), inode};
  parsed.shared = rights[3] == 's';
  return parsed;
}

Result<bool> MapsText::read_on(bool shared_only, std::vector<Area>& areas) {
  HeldLocks::assert_may_wait();
  ssize_t got = 0;
  do {
    got = ::read(maps_, step_.data(), step_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Errno::current();
  if (got == 0) return any_ ? Result<bool>(false) : Errno(ESRCH);
  any_ = true;
  std::string_view text(step_.data(), static_cast<std::size_t>(got));
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    std::string_view line = text.substr(0, end);
    if (!rest_.empty()) line = rest_.append(line);
    if (!shared_only || is_shared(line)) {
      if (const auto area = parse(line)) areas.push_back(*area);
    }
    rest_.clear();
    text.remove_prefix(end + 1);
  }
  rest_.append(text);
  return true;
}

}  // namespace shmvisor
