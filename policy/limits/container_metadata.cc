#include "policy/limits/container_metadata.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace shmvisor {
namespace {

constexpr std::size_t kLongestGroup = 64;
constexpr std::array<std::string_view, 4> kNames = {"shmmax", "shmall", "shmmni", "group"};

bool is_group_name(std::string_view text) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= kLongestGroup &&
         text.find_first_not_of(kLetters) == std::string_view::npos;
}

/// False where the value is none for that name.
bool set(ContainerMetadata& metadata, std::string_view name, std::string_view value) {
  if (name == "group") {
    if (!is_group_name(value)) return false;
    metadata.group = value;
    return true;
  }
  return metadata.own.set(name, value);
}

}  // namespace

Result<ContainerMetadata, BadMetadata> parse_container_metadata(std::string_view text,
                                                                const ContainerMetadata& defaults) {
  ContainerMetadata metadata = defaults;
  std::array<bool, kNames.size()> seen{};
  for (bool more = !text.empty(); more;) {
    const std::size_t comma = text.find(',');
    const std::string_view setting = text.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);

    const std::size_t equals = setting.find('=');
    if (equals == std::string_view::npos) {
      return BadMetadata{"'" + std::string(setting) + "' is not NAME=VALUE"};
    }
    const std::string_view name = setting.substr(0, equals);
    const auto known = std::find(kNames.begin(), kNames.end(), name);
    if (known == kNames.end()) return BadMetadata{"nothing is called '" + std::string(name) + "'"};
    bool& seen_before = seen.at(static_cast<std::size_t>(known - kNames.begin()));
    if (seen_before) return BadMetadata{std::string(name) + " is set twice"};
    seen_before = true;
    if (!set(metadata, name, setting.substr(equals + 1))) {
      return BadMetadata{"bad value in '" + std::string(setting) + "'"};
    }
  }
  metadata.own.apply_to(metadata.limits);
  return metadata;
}

}  // namespace shmvisor
