// How values and keys are written in TOML.
//
// Thread rule: pure functions.
#pragma once

#include <string>

namespace shmvisor::config {

/// Text in quotation marks.
[[nodiscard]] std::string toml_text(const std::string& text);
/// A key: in quotation marks where it needs them.
[[nodiscard]] std::string toml_key(const std::string& key);

}  // namespace shmvisor::config
