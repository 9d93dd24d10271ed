#include "supervisor/config/number_text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/limits/limits.h"
#include "supervisor/config/table_reader.h"

namespace shmvisor::config {
namespace {

constexpr std::uint64_t greatest(NumberKind kind) {
  return kind == NumberKind::kSize ? UINT64_MAX : UINT32_MAX;
}

const char* wanted(NumberKind kind) {
  switch (kind) {
    case NumberKind::kKey:
      return "a key is to be a number as 0x4d2, text with a range as \"0x1000-0x1fff\", or "
             "\"private\"";
    case NumberKind::kId:
      return "a uid or gid is to be a number, a name, or text with a range as \"1000-1999\"";
    case NumberKind::kSize:
      return "a size is to be a number of bytes, or text as \"64M\" or \"1M-4M\"; \"64M-\" is "
             "that or more";
  }
  return "";
}

std::optional<std::uint64_t> parse_number(std::string_view text, NumberKind kind) {
  if (kind == NumberKind::kSize) {
    const auto size = parse_size(text);
    return size ? std::optional(*size) : std::nullopt;
  }
  int base = 10;
  if (kind == NumberKind::kKey && (text.starts_with("0x") || text.starts_with("0X"))) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || rest != end || number > greatest(kind)) return std::nullopt;
  return number;
}

std::optional<NumberRange> parse_range_text(std::string_view text, NumberKind kind) {
  if (kind == NumberKind::kKey && text == "private") return NumberRange{0, 0};
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto number = parse_number(text, kind);
    if (!number) return std::nullopt;
    return NumberRange{*number, *number};
  }
  const std::string_view from = text.substr(0, dash);
  const std::string_view to = text.substr(dash + 1);
  if (from.empty() && to.empty()) return std::nullopt;
  const auto first = from.empty() ? std::optional<std::uint64_t>(0) : parse_number(from, kind);
  const auto last = to.empty() ? std::optional(greatest(kind)) : parse_number(to, kind);
  if (!first || !last) return std::nullopt;
  return NumberRange{*first, *last};
}

std::vector<std::string> errno_names() {
  constexpr int kMostErrno = 133;  // of asm-generic/errno.h
  std::vector<std::string> names;
  for (int number = 1; number <= kMostErrno; ++number) {
    if (const char* const name = ::strerrorname_np(number)) names.emplace_back(name);
  }
  return names;
}

}  // namespace

Result<NumberRange, BadText> parse_range(const TomlValue& value, NumberKind kind) {
  if (value.kind == TomlValue::Kind::kInteger) {
    const auto number = static_cast<std::uint64_t>(value.integer);
    if (value.integer < 0 || number > greatest(kind)) return BadText{wanted(kind)};
    return NumberRange{number, number};
  }
  if (value.kind != TomlValue::Kind::kString) return BadText{wanted(kind)};
  const auto range = parse_range_text(value.text, kind);
  if (!range) return BadText{wanted(kind)};
  if (range->first > range->last) return BadText{"the range begins behind its end"};
  return *range;
}

Result<std::chrono::microseconds, BadText> parse_delay(const TomlValue& value) {
  const BadText bad{"a delay is to be text with a unit, as \"250ms\" or \"1.5s\", up to \"60s\""};
  if (value.kind != TomlValue::Kind::kString) return bad;
  double number = 0;
  const char* const end = value.text.data() + value.text.size();
  const auto [rest, error] = std::from_chars(value.text.data(), end, number);
  if (error != std::errc() || !std::isfinite(number) || number <= 0) return bad;
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  double in_us = 0;
  if (unit == "us") in_us = number;
  if (unit == "ms") in_us = number * 1e3;
  if (unit == "s") in_us = number * 1e6;
  constexpr auto kMostUs = static_cast<double>(std::chrono::microseconds(kLongestDelay).count());
  if (in_us < 1 || in_us > kMostUs) return bad;
  return std::chrono::microseconds(std::llround(in_us));
}

Result<int, BadText> parse_errno(const std::string& name) {
  // Of two names of one number strerrorname_np(3) knows one.
  static constexpr std::array kSecondNames = {std::pair{"EWOULDBLOCK", EWOULDBLOCK},
                                              std::pair{"ENOTSUP", ENOTSUP},
                                              std::pair{"EDEADLOCK", EDEADLOCK}};
  for (const auto& [second, number] : kSecondNames) {
    if (name == second) return number;
  }
  const auto names = errno_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return BadText{no_such("errno", name, names)};
  }
  for (int number = 1;; ++number) {
    const char* const its_name = ::strerrorname_np(number);
    if (its_name != nullptr && name == its_name) return number;
  }
}

std::string no_size(const std::string& text, std::uint64_t least) {
  return "'" + text + "' is no whole number from " + std::to_string(least) + " to " +
         std::to_string(UINT64_MAX) + ", alone or with K, M, G or T";
}

std::string no_shmmni(const std::string& text) {
  return "'" + text + "' is no number up to " + std::to_string(Limits::ipcmni);
}

}  // namespace shmvisor::config
