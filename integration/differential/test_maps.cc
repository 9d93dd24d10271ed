#include "integration/differential/test_maps.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "integration/differential/operation.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

bool in_windows(std::uint64_t address) {
  return address >= kWindowBase && address < kWindowBase + kWindows * kWindowBytes;
}

std::string read_whole(pid_t thread) {
  const std::string path = "/proc/" + std::to_string(thread) + "/maps";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 8192> chunk;
  while (fd.valid()) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<TestMapping> parse_line(const std::string& line) {
  TestMapping mapping;
  std::array<char, 8> rights{};
  unsigned major_number = 0;
  unsigned minor_number = 0;
  int name_at = 0;
  if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 "%n",
                  &mapping.start, &mapping.end, rights.data(), &mapping.offset_bytes, &major_number,
                  &minor_number, &mapping.file.second, &name_at) < 7) {
    return std::nullopt;
  }
  mapping.file.first = (std::uint64_t{major_number} << 32) | minor_number;
  mapping.rights = rights.data();
  const std::size_t name = line.find_first_not_of(' ', static_cast<std::size_t>(name_at));
  if (name != std::string::npos) mapping.name = line.substr(name);
  for (char& letter : mapping.name) {
    if (letter == ' ') letter = '_';
  }
  return mapping;
}

}  // namespace

std::string address_text(std::uint64_t address) {
  std::array<char, 40> text{};
  if (in_windows(address)) {
    const std::uint64_t into = address - kWindowBase;
    std::snprintf(text.data(), text.size(), "w%" PRIu64 "+%#" PRIx64, into / kWindowBytes,
                  into % kWindowBytes);
  } else {
    std::snprintf(text.data(), text.size(), "%#" PRIx64, address);
  }
  return text.data();
}

bool TestMapping::continued_by(const TestMapping& next) const {
  return end == next.start && file == next.file && name == next.name && rights == next.rights &&
         (name.empty() || offset_bytes + (end - start) == next.offset_bytes);
}

std::vector<TestMapping> TestMaps::read(pid_t thread) {
  std::vector<TestMapping> mappings;
  const std::string text = read_whole(thread);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    // Cheap looks before the dear one: the program's own mappings are most of the lines.
    const std::string_view line(text.data() + begin, end - begin);
    const bool maybe = line.find("SYSV") != std::string_view::npos ||
                       in_windows(std::strtoull(text.c_str() + begin, nullptr, 16));
    if (maybe) {
      if (auto mapping = parse_line(std::string(line))) mappings.push_back(std::move(*mapping));
    }
    begin = end + 1;
  }
  return mappings;
}

}  // namespace shmvisor
