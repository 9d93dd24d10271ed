#include "supervisor/control/counters_answer.h"

#include <set>
#include <utility>

#include "supervisor/control/counts_json.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_page.h"
#include "supervisor/serve/call_tally.h"

namespace shmvisor {
namespace {

using control::Json;

Json bounds() {
  Json bounds = Json::array();
  for (const std::chrono::nanoseconds bound : CallCounts::kBounds) bounds.push_back(bound.count());
  return bounds;
}

Json calls_with_durations(const CallCounts& counts) {
  Json calls = control::calls_of(counts);
  for (const ShmOperation operation : control::kOperations) {
    const CallCounts::Durations durations = counts.durations(operation);
    Json& call = calls[name_of(operation)];
    call["took_ns"] = durations.sum.count();
    call["within"] = durations.counts;
  }
  return calls;
}

}  // namespace

std::string answer_counters(const Counters& request, const std::vector<NamedSession>& sessions) {
  Json registries = Json::array();
  RegistryPage page = page_of(sessions, request.after);
  std::uint64_t lost = 0;
  if (!sessions.empty()) {
    CallTally& tally = sessions.front().session->tally();  // the one of this process
    lost = tally.lost();
    // What is counted now and is no registry of its session afterwards has ended. A session forgets
    // its own counts at its end; those of one that is newer than the list are not looked at.
    const auto places = tally.places();
    std::set<CallTally::Place> living;
    std::set<std::uint32_t> listed;
    for (const NamedSession& session : sessions) listed.insert(session.session->number());
    for (const NamedRegistry& named : registries_of(sessions)) {
      living.insert({named.session, named.ipc_namespace});
    }
    const CallCounts none;
    for (const NamedRegistry& named : page.registries) {
      const auto known = tally.counts({named.session, named.ipc_namespace});
      const CallCounts& counts = known == nullptr ? none : *known;
      registries.push_back({{"name", named.name},
                            {"calls", calls_with_durations(counts)},
                            {"refusals", control::refusals_of(counts)}});
    }
    for (const CallTally::Place& place : places) {
      if (listed.contains(place.first) && !living.contains(place)) tally.forget(place);
    }
  }
  return control::to_line({{"reply", "counters"},
                           {"bounds_ns", bounds()},
                           {"lost", lost},
                           {"registries", std::move(registries)},
                           {"next", std::move(page.next)}});
}

}  // namespace shmvisor
