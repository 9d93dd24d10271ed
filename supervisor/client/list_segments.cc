#include <array>
#include <cstdio>

#include "supervisor/client/ipcs_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kLongestRow = 256;

}  // namespace

/// As print_shm() of ipcs.c, util-linux, prints it.
std::string ipcs_row(const Json& segment, const UserNames& users) {
  std::array<char, kLongestRow> text{};
  std::snprintf(
      text.data(), text.size(), "%-10.10s %-10d %-10.10s %-10o %-10llu %-10llu %-6s %-6s\n",
      printable(segment.at("key").get<std::string>()).c_str(), segment.at("shmid").get<int>(),
      users.of(segment.at("uid").get<uid_t>()).c_str(), mode_of(segment),
      segment.at("segsz").get<unsigned long long>(), segment.at("nattch").get<unsigned long long>(),
      segment.at("dest").get<bool>() ? "dest" : " ",
      segment.at("locked").get<bool>() ? "locked" : " ");
  return text.data();
}

std::string ipcs_column_names() {
  std::array<char, kLongestRow> text{};
  std::snprintf(text.data(), text.size(), "%-10s %-10s %-10s %-10s %-10s %-10s %-12s\n", "key",
                "shmid", "owner", "perms", "bytes", "nattch", "status");
  return text.data();
}

std::string ipcs_heading(const std::string& words, const Json& registry, bool several) {
  const auto name = registry.value("name", "main");
  // Alone, that of a run goes without saying; a container's does not.
  const std::string where = several || name != "main" ? " of " + shown_registry(name) : "";
  return "\n------ " + words + where + " --------\n";
}

Result<void, Problem> list_segments(RunConnection& run, const ShowOptions& options) {
  const auto registries = fetch_registries(run, options.registry);
  if (!registries) return registries.error();
  const auto segments = fetch_segments(run, *registries);
  if (!segments) return segments.error();
  if (options.json) {
    print_json({{"segments", *segments}});
    return {};
  }
  if (options.quiet) {
    for (const Json& segment : *segments) {
      print(std::to_string(segment.at("shmid").get<int>()) + "\n");
    }
    return {};
  }
  const std::string words = "Shared Memory Segments";
  if (registries->empty()) print(ipcs_heading(words, Json::object(), false) + ipcs_column_names());
  const UserNames users;
  for (const Json& registry : *registries) {
    print(ipcs_heading(words, registry, registries->size() > 1) + ipcs_column_names());
    for (const Json& segment : *segments) {
      if (segment.at("registry") == registry.at("name")) print(ipcs_row(segment, users));
    }
  }
  if (!registries->empty() && registries->front().value("private_ipc", false)) {
    print("\nSemaphores and message queues are private too (--private-ipc).\n");
  }
  print("\n");
  tell_of_no_registry(run, *registries);
  return {};
}

}  // namespace shmvisor::client
