#include "supervisor/control/report_answer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "emulation/abi/pages.h"
#include "supervisor/control/counts_json.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_json.h"
#include "supervisor/serve/call_log.h"
#include "supervisor/serve/call_tally.h"

namespace shmvisor {
namespace {

using control::Json;

/// Of all registries; what has no room is counted. Otherwise who leaves many segments could make
/// the report longer than a reply may be, and so hide all of it.
constexpr std::size_t kMostRegistries = 2048;
constexpr std::size_t kMostSegments = 1536;

Json slowest_of(const CallTally& tally) {
  const auto slowest = tally.slowest();
  if (!slowest) return {};
  return {{"name", name_of(slowest->operation)},
          {"took_ns", slowest->took.count()},
          {"pid", slowest->pid}};
}

/// `room`: for segments in the report.
Json left_in(const NamedRegistry& named, std::uint32_t session, const CallTally& tally,
             std::size_t& room) {
  Json left = Json::array();
  const std::size_t most = std::min(kMostLeftInAReport, room);
  if (most == 0) return left;
  control::OurViewpoint viewpoint;
  auto rows = named.registry->rows(viewpoint, {.most = most});
  if (!rows) return left;
  const auto facts = control::facts_of(*rows, *named.registry);
  for (std::size_t place = 0; place < rows->size(); ++place) {
    Json segment = control::describe((*rows)[place], facts[place]);
    const auto maker = tally.maker(session, named.ipc_namespace, (*rows)[place].id);
    segment["command"] = maker ? Json(maker->command) : Json();
    left.push_back(std::move(segment));
  }
  room -= left.size();
  return left;
}

std::size_t left_out_of(const Registry& registry, std::size_t told) {
  const auto all = static_cast<std::size_t>(registry.read()->in_use());
  return all > told ? all - told : 0;
}

Json cleaned_in(const NamedRegistry& named, std::uint32_t session, const CallTally& tally,
                std::size_t& room) {
  Json cleaned = Json::array();
  auto made = tally.not_removed({session, named.ipc_namespace});
  {
    const auto state = named.registry->read();
    std::erase_if(made, [&](const auto& entry) { return state->find(entry.first).ok(); });
  }
  for (const auto& [shmid, maker] : made) {
    if (cleaned.size() == kMostLeftInAReport || room == 0) break;
    --room;
    cleaned.push_back({{"shmid", shmid},
                       {"key", control::key_text(maker.key)},
                       {"uid", maker.uid},
                       {"segsz", maker.size_bytes},
                       {"cpid", maker.pid},
                       {"command", maker.command}});
  }
  return cleaned;
}

}  // namespace

std::string answer_report(const std::vector<NamedSession>& sessions) {
  Json report = {{"reply", "report"}};
  Json registries = Json::array();
  std::size_t registries_left_out = 0;
  std::size_t room = kMostSegments;
  for (const NamedSession& session : sessions) {
    CallTally& tally = session.session->tally();  // the one of this process
    const std::uint32_t number = session.session->number();
    if (!report.contains("calls")) {
      report["calls"] = control::calls_of(tally);
      report["refusals"] = control::refusals_of(tally);
      report["slowest"] = slowest_of(tally);
      report["unnoted"] = tally.unnoted();
    }
    for (const NamedRegistry& named : registries_of({session})) {
      if (registries.size() == kMostRegistries) {
        ++registries_left_out;
        continue;
      }
      const CallTally::Peak peak = tally.peak(number, named.ipc_namespace);
      Json left = left_in(named, number, tally, room);
      const std::size_t left_out = left_out_of(*named.registry, left.size());
      registries.push_back({{"name", named.name},
                            {"peak_segments", peak.segments},
                            {"peak_bytes", peak.pages * kPageBytes},
                            {"left", std::move(left)},
                            {"left_out", left_out},
                            {"cleaned", cleaned_in(named, number, tally, room)}});
    }
  }
  report["registries"] = std::move(registries);
  report["registries_left_out"] = registries_left_out;
  return control::to_line(report);
}

}  // namespace shmvisor
