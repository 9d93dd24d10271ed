#include "supervisor/config/toml_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string_view>

#include "policy/base/control_characters.h"

namespace shmvisor::config {

namespace {

std::string escape(char letter) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\u%04x", static_cast<unsigned char>(letter));
  return text.data();
}

}  // namespace

std::string toml_text(const std::string& text) {
  std::string toml = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (begins_with_wide_control(std::string_view(text).substr(at))) {
      toml += escape(text[++at]);  // U+0080 to U+009F have the number of their second byte
      continue;
    }
    const char letter = text[at];
    if (is_control(letter)) {
      toml += escape(letter);
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
