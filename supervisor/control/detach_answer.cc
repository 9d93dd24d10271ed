#include "supervisor/control/detach_answer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "supervisor/control/forced_detach.h"
#include "supervisor/control/protocol.h"

namespace shmvisor {
namespace {

using control::Json;
using control::Refusal;

/// What shmdt(2) leaves behind, once for each mapping.
void stamp(Segment& segment, const DetachedProcess& process, Host& host) {
  for (std::size_t range = 0; range < process.unmapped.ranges; ++range) {
    segment.note_detach({process.record, host.now_seconds()});
  }
}

}  // namespace

std::string answer_detach(const DetachSegment& request, const std::vector<NamedSession>& sessions) {
  const auto [session, registry] = find_with_session(sessions, request.registry);
  if (registry == nullptr) return no_such_registry(request.registry).line();
  const auto found = registry->read()->find(request.shmid);
  if (!found) return no_such_segment(request.shmid).line();
  const std::shared_ptr<Segment>& segment = *found;
  auto pids = session->scope().processes();
  if (!pids) {
    return Refusal{"no-memory", "processes cannot be listed: descriptors or memory are short"}
        .line();
  }
  if (request.pid) {
    if (std::ranges::find(*pids, *request.pid) == pids->end()) {
      return Refusal{"no-such-process",
                     "process " + std::to_string(*request.pid) + " is none of its own"}
          .line();
    }
    *pids = {*request.pid};
  }
  const auto outcomes =
      detach_by_force(std::move(*pids), segment->memory().identity(), request.gives,
                      session->features(), reinterpret_cast<std::uintptr_t>(session.get()));
  Json processes = Json::array();
  Json failed = Json::array();
  for (const DetachedProcess& one : outcomes) {
    stamp(*segment, one, registry->host());
    if (one.unmapped.ranges != 0) {
      processes.push_back(
          {{"pid", one.pid}, {"ranges", one.unmapped.ranges}, {"bytes", one.unmapped.bytes}});
    }
    if (!one.trouble.empty()) failed.push_back({{"pid", one.pid}, {"why", one.trouble}});
  }
  Dropped dropped;
  registry->drop_if_over(segment, dropped);
  dropped.free_aside(registry->host());
  spdlog::info("a control client detaches segment {} of {} from {} processes, and not from {}",
               request.shmid, request.registry, processes.size(), failed.size());
  return control::to_line({{"reply", "detach"},
                           {"registry", request.registry},
                           {"shmid", request.shmid},
                           {"processes", std::move(processes)},
                           {"failed", std::move(failed)}});
}

}  // namespace shmvisor
