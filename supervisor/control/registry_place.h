// RegistryPlace: where a client goes on that asks for registries in parts (PROTOCOL.md, `after`).
//
// Parts are in the order of the sessions' names, and of the IPC namespaces of each. So registries
// that begin or end meanwhile change nothing for the others.
//
// Thread rule: plain values.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

}  // namespace shmvisor
