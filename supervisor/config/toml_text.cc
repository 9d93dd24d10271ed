#include "supervisor/config/toml_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "policy/base/control_characters.h"

namespace shmvisor::config {

std::string toml_text(const std::string& text) {
  std::string toml = "\"";
  for (const char letter : text) {
    if (is_control(letter)) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(letter));
      toml += escape.data();
      continue;
    }
    if (letter == '"' || letter == '\\') toml += '\\';
    toml += letter;
  }
  return toml + '"';
}

std::string toml_key(const std::string& key) {
  const bool is_bare = !key.empty() && std::ranges::all_of(key, [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_' || letter == '-';
  });
  return is_bare ? key : toml_text(key);
}

}  // namespace shmvisor::config
