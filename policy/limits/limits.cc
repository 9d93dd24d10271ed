#include "policy/limits/limits.h"

#include <charconv>
#include <system_error>

namespace shmvisor {
namespace {

/// The power of two that a suffix stands for; -1 where it is none.
int suffix_shift(char suffix) {
  switch (suffix) {
    case 'k':
    case 'K':
      return 10;
    case 'm':
    case 'M':
      return 20;
    case 'g':
    case 'G':
      return 30;
    case 't':
    case 'T':
      return 40;
    default:
      return -1;
  }
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, 10);
  if (error == std::errc::invalid_argument) return Errno(EINVAL);

  int shift = 0;
  if (rest != end) {
    shift = suffix_shift(*rest);
    if (shift < 0 || rest + 1 != end) return Errno(EINVAL);
  }
  // Only now: a number too long with rubbish behind it is rubbish first.
  if (error == std::errc::result_out_of_range) return Errno(ERANGE);
  if (number > (std::numeric_limits<std::uint64_t>::max() >> shift)) return Errno(ERANGE);
  return number << shift;
}

Result<std::uint32_t> parse_shmmni(std::string_view text) {
  const Result<std::uint64_t> number = parse_size(text);
  if (!number || *number > Limits::ipcmni) return Errno(EINVAL);
  return static_cast<std::uint32_t>(*number);
}

bool LimitSettings::set(std::string_view name, std::string_view text) {
  if (name == "shmmni") {
    const auto number = parse_shmmni(text);
    if (number) shmmni = *number;
    return number.ok();
  }
  const auto size = parse_size(text);
  if (size) (name == "shmmax" ? shmmax : shmall) = *size;
  return size.ok();
}

}  // namespace shmvisor
