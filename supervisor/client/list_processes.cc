#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/client/holdings.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/text_table.h"
#include "supervisor/client/user_names.h"

namespace shmvisor::client {
namespace {

Json described(const SupervisedProcess& process) {
  Json segments = Json::array();
  for (const Holding& holding : holdings_of(process)) {
    segments.push_back({{"registry", holding.registry},
                        {"shmid", holding.shmid},
                        {"attaches", holding.attaches},
                        {"bytes", holding.bytes}});
  }
  return {{"pid", process.pid},
          {"session", process.session},
          {"uid", process.uid},
          {"command", process.command},
          {"certain", process.certain},
          {"readable", process.readable},
          {"segments", std::move(segments)}};
}

/// `of_agent`: with the container, before the command.
std::vector<std::string> row(const SupervisedProcess& process, const UserNames& users,
                             bool of_agent) {
  std::uint64_t attaches = 0;
  std::uint64_t bytes = 0;
  const auto holdings = holdings_of(process);
  for (const Holding& holding : holdings) {
    attaches += holding.attaches;
    bytes += holding.bytes;
  }
  const auto if_readable = [&process](const std::string& text) {
    return process.readable ? text : "?";
  };
  std::vector<std::string> cells = {
      std::to_string(process.pid), users.of(process.uid), if_readable(std::to_string(attaches)),
      if_readable(std::to_string(bytes)), if_readable(shmids_of(holdings))};
  if (of_agent) cells.push_back(as_one_word(shown_registry(process.session)));
  cells.push_back(as_one_word(process.command) + (process.certain ? "" : " (perhaps)"));
  return cells;
}

}  // namespace

Result<void, Problem> list_processes(RunConnection& run, const ShowOptions& options) {
  const auto registries = fetch_registries(run, "");
  if (!registries) return registries.error();
  const auto segments = fetch_segments(run, *registries);
  if (!segments) return segments.error();
  const auto processes = fetch_processes(run, *segments);
  if (!processes) return processes.error();
  const UserNames users;
  const bool of_agent = run.hello().kind == "agent";
  std::vector<std::string> titles = {"pid", "owner", "attaches", "bytes", "shmids"};
  if (of_agent) titles.emplace_back("registry");
  titles.emplace_back("command");
  TextTable table(std::move(titles));
  Json all = Json::array();
  for (const SupervisedProcess& process : *processes) {
    if (!process.certain && !options.all) continue;
    if (options.quiet) print(std::to_string(process.pid) + "\n");
    if (options.json) all.push_back(described(process));
    if (!options.quiet && !options.json) table.add(row(process, users, of_agent));
  }
  if (options.quiet) return {};
  if (options.json) {
    print_json({{"processes", std::move(all)}});
  } else {
    print(table.text());
    tell_of_no_registry(run, *registries);
  }
  return {};
}

}  // namespace shmvisor::client
