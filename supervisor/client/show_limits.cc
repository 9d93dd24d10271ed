#include <algorithm>
#include <cstdint>

#include "emulation/abi/pages.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

constexpr std::uint64_t kKibibyte = 1024;

/// As ipcs(1) prints them. More kilobytes than fit are as many as fit in whole pages.
std::string limits(const Json& registry) {
  const Json& limit = registry.at("limits");
  const auto shmall = limit.at("shmall").get<std::uint64_t>();
  constexpr std::uint64_t kKibibytesOfAPage = kPageBytes / kKibibyte;
  const std::uint64_t most_kibibytes =
      std::min(shmall, UINT64_MAX / kKibibytesOfAPage) * kKibibytesOfAPage;
  return "max number of segments = " + limit.at("shmmni").dump() + "\nmax seg size (kbytes) = " +
         std::to_string(limit.at("shmmax").get<std::uint64_t>() / kKibibyte) +
         "\nmax total shared memory (kbytes) = " + std::to_string(most_kibibytes) +
         "\nmin seg size (bytes) = " + limit.at("shmmin").dump() + "\n";
}

std::string usage(const Json& registry) {
  const Json& used = registry.at("used");
  return "segments allocated " + used.at("segments").dump() + "\npages allocated " +
         used.at("pages").dump() + "\npages resident  " + used.at("resident_pages").dump() +
         "\npages swapped   " + used.at("swapped_pages").dump() + "\n";
}

}  // namespace

Result<void, Problem> show_limits(RunConnection& run, const ShowOptions& options) {
  const auto registries = fetch_registries(run, options.registry);
  if (!registries) return registries.error();
  if (options.json) {
    print_json({{"registries", *registries}});
    return {};
  }
  const bool several = registries->size() > 1;
  for (const Json& registry : *registries) {
    print(ipcs_heading("Shared Memory Limits", registry, several) + limits(registry) +
          ipcs_heading("Shared Memory Status", registry, several) + usage(registry));
  }
  print("\n");
  return {};
}

}  // namespace shmvisor::client
