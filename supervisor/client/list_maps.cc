#include <algorithm>
#include <utility>
#include <vector>

#include "supervisor/client/held_segments.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/text_table.h"

namespace shmvisor::client {
namespace {

bool is_wanted(const SupervisedProcess& process, const HeldSegment& held,
               const ShowOptions& options) {
  return !options.number || *options.number == process.pid ||
         *options.number == held.segment.at("shmid").get<int>();
}

Json described(const SupervisedProcess& process, const HeldSegment& held) {
  return {{"pid", process.pid},
          {"command", process.command},
          {"range", held.range},
          {"rights", held.rights},
          {"offset", held.offset_bytes},
          {"bytes", held.bytes},
          {"registry", held.segment.at("registry")},
          {"shmid", held.segment.at("shmid")},
          {"key", held.segment.at("key")}};
}

bool is_there(int number, const std::vector<Json>& segments,
              const std::vector<SupervisedProcess>& processes) {
  const auto has_id = [number](const Json& segment) {
    return segment.at("shmid").get<int>() == number;
  };
  const auto has_pid = [number](const SupervisedProcess& one) { return one.pid == number; };
  return std::any_of(segments.begin(), segments.end(), has_id) ||
         std::any_of(processes.begin(), processes.end(), has_pid);
}

}  // namespace

Result<void, Problem> list_maps(RunConnection& run, const ShowOptions& options) {
  const auto registries = fetch_registries(run, options.registry);
  if (!registries) return registries.error();
  const auto segments = fetch_segments(run, *registries);
  if (!segments) return segments.error();
  const auto processes = fetch_processes(run, *segments);
  if (!processes) return processes.error();
  TextTable table({"pid", "command", "range", "rights", "offset", "shmid", "key", "registry"});
  Json all = Json::array();
  Json unreadable = Json::array();
  for (const SupervisedProcess& process : *processes) {
    if (!process.readable && process.certain) unreadable.push_back(process.pid);
    for (const HeldSegment& held : process.held) {
      if (!is_wanted(process, held, options)) continue;
      all.push_back(described(process, held));
      table.add({std::to_string(process.pid), as_one_word(process.command), held.range, held.rights,
                 std::to_string(held.offset_bytes), held.segment.at("shmid").dump(),
                 printable(held.segment.at("key").get<std::string>()),
                 shown_registry(held.segment.at("registry").get<std::string>())});
    }
  }
  if (options.number && all.empty() && !is_there(*options.number, *segments, *processes)) {
    return Problem{run.hello().called() + " has neither a segment nor a process " +
                   std::to_string(*options.number)};
  }
  if (options.json) {
    print_json({{"maps", std::move(all)}, {"unreadable", std::move(unreadable)}});
    return {};
  }
  print(table.text());
  tell_of_no_registry(run, *registries);
  for (const Json& pid : unreadable) {
    print("the maps of process " + pid.dump() + " cannot be read\n");
  }
  return {};
}

}  // namespace shmvisor::client
