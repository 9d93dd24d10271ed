#include "supervisor/control/report_answer.h"

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

Json slowest_of(const CallTally& tally) {
  const auto slowest = tally.slowest();
  if (!slowest) return {};
  return {{"name", name_of(slowest->operation)},
          {"took_ns", slowest->took.count()},
          {"pid", slowest->pid}};
}

Json left_in(const NamedRegistry& named, std::uint32_t session, const CallTally& tally) {
  Json left = Json::array();
  control::OurViewpoint viewpoint;
  auto rows = named.registry->rows(viewpoint, {.most = kMostLeftInAReport});
  if (!rows) return left;
  const auto files = control::files_of(*rows, *named.registry);
  for (std::size_t place = 0; place < rows->size(); ++place) {
    Json segment = control::describe((*rows)[place], files[place]);
    const auto maker = tally.maker(session, named.ipc_namespace, (*rows)[place].id);
    segment["command"] = maker ? Json(maker->command) : Json();
    left.push_back(std::move(segment));
  }
  return left;
}

Json cleaned_in(const NamedRegistry& named, std::uint32_t session, const CallTally& tally) {
  Json cleaned = Json::array();
  auto made = tally.not_removed({session, named.ipc_namespace});
  {
    const auto state = named.registry->read();
    std::erase_if(made, [&](const auto& entry) { return state->find(entry.first).ok(); });
  }
  for (const auto& [shmid, maker] : made) {
    if (cleaned.size() == kMostLeftInAReport) break;
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
      const CallTally::Peak peak = tally.peak(number, named.ipc_namespace);
      registries.push_back({{"name", named.name},
                            {"peak_segments", peak.segments},
                            {"peak_bytes", peak.pages * kPageBytes},
                            {"left", left_in(named, number, tally)},
                            {"cleaned", cleaned_in(named, number, tally)}});
    }
  }
  report["registries"] = std::move(registries);
  return control::to_line(report);
}

}  // namespace shmvisor
