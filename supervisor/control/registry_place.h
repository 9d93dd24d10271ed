// RegistryPlace and SegmentPlace: where a client goes on that asks for registries, or for the
// segments of all of them, in parts (PROTOCOL.md, `after`).
//
// Parts are in the order of the sessions' names, and of the IPC namespaces of each; segments in
// that of their index. So what begins or ends meanwhile changes nothing for the others.
//
// Thread rule: plain values.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "emulation/ipc/id_table.h"

namespace shmvisor {

/// NamedSession::name of a run's session, and what its registry is called.
inline constexpr const char* kMainRegistry = "main";

/// Behind this registry; as it is made, before all of them.
struct RegistryPlace {
  std::string session;              ///< NamedSession::name
  std::uint64_t ipc_namespace = 0;  ///< NamedRegistry::ipc_namespace

  friend auto operator<=>(const RegistryPlace&, const RegistryPlace&) = default;

  /// As `next` of a reply has it.
  [[nodiscard]] std::string text() const { return std::to_string(ipc_namespace) + " " + session; }
  /// Nothing where it is no such text. An empty one is before all.
  [[nodiscard]] static std::optional<RegistryPlace> parse(std::string_view text) {
    RegistryPlace place;
    if (text.empty()) return place;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, place.ipc_namespace);
    if (error != std::errc() || rest == end || *rest != ' ') return std::nullopt;
    place.session.assign(rest + 1, end);
    return place;
  }
};

/// At this index of a registry, and in what is behind that registry.
struct SegmentPlace {
  RegistryPlace registry;
  int index = 0;  ///< IdSpace::index_of(); kMaxIds: behind all of them

  friend auto operator<=>(const SegmentPlace&, const SegmentPlace&) = default;

  /// As `next` of a reply has it.
  [[nodiscard]] std::string text() const { return std::to_string(index) + " " + registry.text(); }
  /// Nothing where it is no such text. An empty one is the beginning.
  [[nodiscard]] static std::optional<SegmentPlace> parse(std::string_view text) {
    SegmentPlace place;
    if (text.empty()) return place;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, place.index);
    const bool is_index = error == std::errc() && rest != end && *rest == ' ' && place.index >= 0 &&
                          place.index <= IdSpace::kMaxIds;
    if (!is_index || rest + 1 == end) return std::nullopt;
    const auto registry = RegistryPlace::parse(std::string_view(rest + 1, end));
    if (!registry) return std::nullopt;
    place.registry = *registry;
    return place;
  }
};

}  // namespace shmvisor
