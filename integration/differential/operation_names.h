// Names of flags and commands in the text form of sequences.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "integration/differential/operation.h"

namespace shmvisor {

struct NamedValue {
  Argument argument;
  std::string_view name;
  std::int64_t value;
};

/// How values of an argument are put together from names.
enum class Naming : std::uint8_t { kPlain, kOneOf, kBits };

[[nodiscard]] Naming naming_of(Argument argument);
[[nodiscard]] std::span<const NamedValue> named_values();

}  // namespace shmvisor
