// How numbers, ranges and times are written in a configuration.
//
// Errors: one clause that says what is wrong. Thread rule: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "policy/base/result.h"
#include "policy/rules/rule.h"
#include "supervisor/config/toml_document.h"

namespace shmvisor::config {

struct BadText {
  std::string reason;
};

/// What a number counts, which says how it is written and how great it may be.
enum class NumberKind : std::uint8_t {
  kKey,   ///< of a segment: 0x4d2 or 1234; "private" for 0
  kId,    ///< a uid or gid
  kSize,  ///< in bytes, with K, M, G, T
};

/// A number, or text with a number or a range: "FROM-TO", "FROM-" or "-TO".
[[nodiscard]] Result<NumberRange, BadText> parse_range(const TomlValue& value, NumberKind kind);

/// Text with a unit: "250ms", "1.5s", "40us"; up to kLongestDelay.
[[nodiscard]] Result<std::chrono::microseconds, BadText> parse_delay(const TomlValue& value);

/// The errno with this name of errno(3), "ENOMEM".
[[nodiscard]] Result<int, BadText> parse_errno(const std::string& name);

/// Why a text is no size or number of segments: "'1X' is no whole number from 0 to ...".
[[nodiscard]] std::string no_size(const std::string& text, std::uint64_t least = 0);
[[nodiscard]] std::string no_shmmni(const std::string& text);

}  // namespace shmvisor::config
