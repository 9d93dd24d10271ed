#include "supervisor/control/report_answer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "emulation/abi/pages.h"
#include "supervisor/control/counts_json.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_json.h"
#include "supervisor/control/table_parts.h"
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

/// The segments that are left in each of the registries, which are of one session.
class Left {
 public:
  /// `room`: for segments in the report.
  Left(const std::vector<NamedRegistry>& registries, std::size_t& room) {
    for (const NamedRegistry& named : registries) {
      tables_.add(named.registry, 0, std::min(kMostLeftInAReport, room - tables_.rows()));
    }
    (void)tables_.count_attaches();
    room -= tables_.rows();
  }
  /// Of the registry at that place. None where its attaches cannot be counted.
  [[nodiscard]] Json of(const NamedRegistry& named, std::size_t place,
                        const CallTally& tally) const {
    const TableParts::Part& part = tables_.parts()[place];
    if (!part.is_counted) return Json::array();
    Json segments = part.segments();
    for (std::size_t row = 0; row < segments.size(); ++row) {
      const auto maker = tally.maker(named.session, named.ipc_namespace, part.rows[row].id);
      segments[row]["command"] = maker ? Json(maker->command) : Json();
    }
    return segments;
  }

 private:
  TableParts tables_;
};

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
      report["after_takeover"] = tally.after_takeover();
      report["unnoted"] = tally.unnoted();
    }
    auto all = registries_of({session});
    const std::size_t told = std::min(all.size(), kMostRegistries - registries.size());
    registries_left_out += all.size() - told;
    all.resize(told);
    const Left left_in(all, room);
    for (std::size_t place = 0; place < all.size(); ++place) {
      const NamedRegistry& named = all[place];
      tally.note_peak({number, named.ipc_namespace}, *named.registry);
      const CallTally::Peak peak = tally.peak(number, named.ipc_namespace);
      Json left = left_in.of(named, place, tally);
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
