// TableReader: takes the members of a TOML table one after another, and notes what does not fit.
//
// Ownership: borrows the table and the problems. Thread rule: one thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/config/config_problem.h"
#include "supervisor/config/toml_document.h"

namespace shmvisor::config {

class TableReader {
 public:
  /// `title`: as in "there is no key 'x' in TITLE".
  TableReader(const TomlValue& table, std::string title, Problems& problems)
      : table_(table), title_(std::move(title)), problems_(problems) {}

  /// Null where it is missing.
  const TomlMember* take(const std::string& key);
  /// The same for one of this kind; another is a problem.
  const TomlMember* take(const std::string& key, TomlValue::Kind kind, const char* wanted);
  /// One value, or the values of a list.
  std::vector<const TomlValue*> take_list(const std::string& key);
  /// Whether the table has the key, taken or not.
  [[nodiscard]] bool has(const std::string& key) const { return find(key) != nullptr; }
  /// Null where it is missing; it is not taken.
  [[nodiscard]] const TomlMember* find(const std::string& key) const;

  void blame(const Place& place, const std::string& text);
  /// Members that nobody took are problems, which name the nearest key that somebody asked for.
  void finish();

 private:
  const TomlValue& table_;
  const std::string title_;
  Problems& problems_;
  std::set<std::string> known_;
};

/// "there is no WHAT 'word'; did you mean 'one'?"
[[nodiscard]] std::string no_such(const std::string& what, const std::string& word,
                                  const std::vector<std::string>& known);

}  // namespace shmvisor::config
