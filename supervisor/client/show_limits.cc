#include <algorithm>
#include <cstdint>
#include <string>

#include "emulation/abi/pages.h"
#include "supervisor/client/ipcs_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/text_table.h"

namespace shmvisor::client {
namespace {

constexpr std::uint64_t kKibibyte = 1024;

}  // namespace

/// As ipcs(1) prints them. More kilobytes than fit are as many as fit in whole pages.
std::string ipcs_limits(const Json& registry) {
  const Json& limit = registry.at("limits");
  const auto shmall = limit.at("shmall").get<std::uint64_t>();
  const std::uint64_t kibibytes_of_a_page = kPageBytes / kKibibyte;
  const std::uint64_t most_kibibytes =
      std::min(shmall, UINT64_MAX / kibibytes_of_a_page) * kibibytes_of_a_page;
  return "max number of segments = " + limit.at("shmmni").dump() + "\nmax seg size (kbytes) = " +
         std::to_string(limit.at("shmmax").get<std::uint64_t>() / kKibibyte) +
         "\nmax total shared memory (kbytes) = " + std::to_string(most_kibibytes) +
         "\nmin seg size (bytes) = " + limit.at("shmmin").dump() + "\n";
}

namespace {

std::string usage(const Json& registry) {
  const Json& used = registry.at("used");
  return "segments allocated " + used.at("segments").dump() + "\npages allocated " +
         used.at("pages").dump() + "\npages resident  " + used.at("resident_pages").dump() +
         "\npages swapped   " + used.at("swapped_pages").dump() + "\n";
}

std::string limit_text(const Json& limits, const char* name) {
  const auto limit = limits.find(name);
  return limit == limits.end() ? "-" : limit->dump();
}

/// Limits that are not set are '-': the registry's alone bound the user there.
std::string users(const Json& registry, bool several) {
  const auto known = registry.find("user_limits");  // not of an older shmvisor
  if (known == registry.end() || known->is_null()) return {};
  TextTable table({"user", "shmmax", "shmall", "shmmni", "segments", "pages"});
  const auto add = [&table](const std::string& name, const Json& limits,
                            const std::string& segments, const std::string& pages) {
    table.add({name, limit_text(limits, "shmmax"), limit_text(limits, "shmall"),
               limit_text(limits, "shmmni"), segments, pages});
  };
  UserNames names;
  for (const Json& user : known->at("users")) {
    add(names.of(user.at("uid").get<uid_t>()), user.at("limits"), user.at("segments").dump(),
        user.at("pages").dump());
  }
  add("others", known->at("default"), "-", "-");
  std::string text =
      ipcs_heading("Shared Memory Limits of Users", registry, several) + table.text();
  if (const auto left_out = known->at("users_left_out").get<std::uint64_t>(); left_out != 0) {
    text += std::to_string(left_out) + " more users have segments\n";
  }
  return text;
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
    print(ipcs_heading("Shared Memory Limits", registry, several) + ipcs_limits(registry) +
          ipcs_heading("Shared Memory Status", registry, several) + usage(registry) +
          users(registry, several));
  }
  if (!registries->empty()) print("\n");
  tell_of_no_registry(run, *registries);
  return {};
}

}  // namespace shmvisor::client
