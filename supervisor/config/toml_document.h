// The tree of a TOML document (https://toml.io, version 1.0), with the place of each value in it.
//
// toml++ parses; nothing but toml_document.cc includes it, since it takes as long to compile as all
// of this folder.
//
// Errors: one Problem, with its place. A text is bounded before it is parsed: its size, and how
// deep keys can nest, since a tree is destroyed by recursion. Thread rule: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/config/config_problem.h"

namespace shmvisor::config {

struct TomlMember;

struct TomlValue {
  enum class Kind : std::uint8_t { kBoolean, kInteger, kFloat, kString, kDate, kArray, kTable };

  Kind kind = Kind::kTable;
  Place place;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<TomlValue> items;
  std::vector<TomlMember> members;  ///< in the order of the text

  /// "a table", "text" and so on.
  [[nodiscard]] const char* kind_name() const;
};

struct TomlMember {
  std::string key;
  Place place;  ///< of the key
  TomlValue value;
};

inline constexpr std::size_t kMostTomlBytes = std::size_t{1} << 20;

/// `file`: the name for places. The root is a table.
[[nodiscard]] Result<TomlValue, Problem> parse_toml(std::string_view text, const std::string& file);

}  // namespace shmvisor::config
