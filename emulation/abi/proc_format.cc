#include "emulation/abi/proc_format.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <limits>
#include <optional>

#include "emulation/abi/abi.h"

namespace shmvisor {
namespace {

/// TMPBUFLEN - 1 of proc_get_long(): a number as long as this might go on, and is refused.
constexpr std::size_t kNumberBytes = 21;

/// isspace() of the kernel's lib/ctype.c, which is Latin-1.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xa0'; }

void skip_spaces(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

/// The value of a digit; 36 for anything else.
unsigned digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a') + 10 : 36;
}

char at(std::string_view text, std::size_t place) {
  return place < text.size() ? text[place] : '\0';
}

/// strtoul_lenient() with base 0: as many digits as there are; nothing where they overflow.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  unsigned base = 10;
  if (at(text, 0) == '0') {
    const bool hexadecimal = (at(text, 1) | 0x20) == 'x' && digit(at(text, 2)) < 16;
    base = hexadecimal ? 16 : 8;
    if (hexadecimal) text.remove_prefix(2);
  }
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  while (!text.empty() && digit(text.front()) < base) {
    const unsigned next = digit(text.front());
    if (value > (kMost - next) / base) return std::nullopt;
    value = value * base + next;
    text.remove_prefix(1);
  }
  return value;
}

struct SignedNumber {
  bool negative = false;
  std::uint64_t magnitude = 0;
};

/// proc_get_long(): a number that ends with the text or at a blank, tab or newline.
Result<SignedNumber> get_long(std::string_view& text) {
  SignedNumber number;
  std::string_view rest = text.substr(0, kNumberBytes);
  if (rest.front() == '-' && text.size() > 1) {
    number.negative = true;
    rest.remove_prefix(1);
  }
  if (digit(at(rest, 0)) > 9) return Errno(EINVAL);
  const auto magnitude = take_number(rest);
  if (!magnitude) return Errno(EINVAL);
  number.magnitude = *magnitude;
  const std::size_t length = std::min(text.size(), kNumberBytes) - rest.size();
  if (length == kNumberBytes) return Errno(EINVAL);
  text.remove_prefix(length);
  if (!text.empty() && std::string_view(" \t\n").find(text.front()) == std::string_view::npos) {
    return Errno(EINVAL);
  }
  return number;
}

/// The part that both handlers have in common; `check` makes the number a value, or refuses it.
template <typename Number, typename Check>
Result<SysctlWrite<Number>> write_number(std::string_view bytes, std::uint64_t offset,
                                         Check check) {
  SysctlWrite<Number> done;
  done.taken_bytes = bytes.size();
  done.ignored = offset != 0 || bytes.empty();
  if (done.ignored) return done;

  std::string_view text = bytes.substr(0, kPageBytes - 1);  // all that the handlers look at
  skip_spaces(text);
  if (text.empty()) return Errno(EINVAL);
  const auto number = get_long(text);
  if (!number) return number.error();
  const std::optional<Number> value = check(*number);
  if (!value) return Errno(EINVAL);
  done.value = *value;
  skip_spaces(text);
  done.taken_bytes -= text.size();
  return done;
}

std::string cut(std::string text, std::uint64_t offset, std::size_t size) {
  if (offset != 0) return {};
  text.push_back('\n');
  return text.substr(0, size);
}

}  // namespace

std::string_view shm_table_heading() {
  return "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
         "cgid"
         "      atime      dtime      ctime                   rss                  swap\n";
}

std::string shm_table_line(int id, const ShmidDs& ds, std::uint64_t rss_bytes,
                           std::uint64_t swap_bytes) {
  std::array<char, 512> line;  // no field is longer than 21 bytes
  const int length =
      std::snprintf(line.data(), line.size(),
                    "%10d %10d  %4o %21" PRIu64 " %5u %5u  %5" PRIu64 " %5u %5u %5u %5u %10" PRIu64
                    " %10" PRIu64 " %10" PRIu64 " %21" PRIu64 " %21" PRIu64 "\n",
                    ds.key, id, ds.mode, ds.segsz_bytes, static_cast<unsigned>(ds.cpid),
                    static_cast<unsigned>(ds.lpid), ds.nattch, ds.uid, ds.gid, ds.cuid, ds.cgid,
                    static_cast<std::uint64_t>(ds.atime), static_cast<std::uint64_t>(ds.dtime),
                    static_cast<std::uint64_t>(ds.ctime), rss_bytes, swap_bytes);
  return {line.data(), static_cast<std::size_t>(length)};
}

std::string read_sysctl(std::uint64_t value, std::uint64_t offset, std::size_t size) {
  return cut(std::to_string(value), offset, size);
}

std::string read_sysctl(int value, std::uint64_t offset, std::size_t size) {
  return cut(std::to_string(value), offset, size);
}

Result<SysctlWrite<std::uint64_t>> write_ulong_sysctl(std::string_view bytes,
                                                      std::uint64_t offset) {
  return write_number<std::uint64_t>(
      bytes, offset, [](const SignedNumber& number) -> std::optional<std::uint64_t> {
        if (number.negative) return std::nullopt;
        return number.magnitude;
      });
}

Result<SysctlWrite<int>> write_int_sysctl(std::string_view bytes, std::uint64_t offset, int minimum,
                                          int maximum) {
  return write_number<int>(
      bytes, offset, [minimum, maximum](const SignedNumber& number) -> std::optional<int> {
        const std::uint64_t most = number.negative ? std::uint64_t{INT_MAX} + 1 : INT_MAX;
        if (number.magnitude > most) return std::nullopt;
        const auto magnitude = static_cast<std::int64_t>(number.magnitude);
        const std::int64_t value = number.negative ? -magnitude : magnitude;
        if (value < minimum || value > maximum) return std::nullopt;
        return static_cast<int>(value);
      });
}

}  // namespace shmvisor
