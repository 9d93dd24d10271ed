#include "supervisor/control/control_answer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <variant>

#include "supervisor/control/counters_answer.h"
#include "supervisor/control/detach_answer.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_json.h"
#include "supervisor/control/registry_page.h"
#include "supervisor/control/report_answer.h"
#include "supervisor/control/segment_page.h"

namespace shmvisor {
namespace {

using control::describe;
using control::facts_of;
using control::Json;
using control::limits_of;
using control::OurViewpoint;
using control::Refusal;
using control::to_line;

class Answering {
 public:
  Answering(const std::vector<NamedSession>& sessions, ClientLoad& client)
      : sessions_(sessions), client_(client) {}

  ControlAnswer operator()(const ListRegistries& request) const {
    RegistryPage page = page_of(sessions_, request.after);
    Json some = Json::array();
    std::size_t room_for_users = control::kUsersInAReply;
    for (const NamedRegistry& named : page.registries) {
      some.push_back(describe(named, room_for_users));
    }
    return to_line(
        {{"reply", "registries"}, {"registries", std::move(some)}, {"next", std::move(page.next)}});
  }

  ControlAnswer operator()(const ListSegments& request) const {
    const auto registry = find_registry(sessions_, request.registry);
    if (registry == nullptr) return no_such_registry(request.registry).line();
    if (request.from_index == 0) registry->settle();
    OurViewpoint viewpoint;
    auto rows = registry->rows(
        viewpoint, {.first_index = request.from_index, .most = control::kSegmentsInAReply});
    if (!rows) {
      return Refusal{"no-memory", "attaches cannot be counted: descriptors or memory are short"}
          .line();
    }
    Json next;
    if (rows->size() == control::kSegmentsInAReply) {
      next = IdSpace::index_of(rows->back().id) + 1;
    }
    const auto facts = facts_of(*rows, *registry);
    Json segments = Json::array();
    for (std::size_t place = 0; place < rows->size(); ++place) {
      segments.push_back(describe((*rows)[place], facts[place]));
    }
    return to_line({{"reply", "segments"},
                    {"registry", request.registry},
                    {"segments", std::move(segments)},
                    {"next", std::move(next)}});
  }

  ControlAnswer operator()(const ListAllSegments& request) const {
    SegmentPage page = page_of_segments(sessions_, request.from);
    return to_line({{"reply", "segments"},
                    {"registries", std::move(page.registries)},
                    {"next", std::move(page.next)}});
  }

  ControlAnswer operator()(const ListProcesses& request) const {
    Json some = Json::array();
    Json next;
    std::size_t told = 0;
    for (const NamedSession& one : sessions_behind(sessions_, request.after)) {
      const auto listing = one.session->scope().listing();
      if (!listing) {
        return Refusal{"no-memory", "processes cannot be listed: descriptors or memory are short"}
            .line();
      }
      std::vector<pid_t> pids = listing->certain;
      pids.insert(pids.end(), listing->others.begin(), listing->others.end());
      const std::size_t all = pids.size();
      pids.resize(std::min(all, control::kProcessesInAReply));
      const bool has_room =
          some.size() < kRegistriesInAReply && told + pids.size() <= control::kProcessesInAReply;
      if (request.after && !some.empty() && !has_room) {
        next = RegistryPlace{some.back()["name"].get<std::string>()}.text();
        break;
      }
      told += pids.size();
      const bool is_complete = pids.size() == all;
      some.push_back({{"name", one.name},
                      {"certain", std::min(listing->certain.size(), pids.size())},
                      {"ancestors", listing->ancestors},
                      {"pids", std::move(pids)},
                      {"complete", is_complete}});
    }
    return to_line(
        {{"reply", "processes"}, {"sessions", std::move(some)}, {"next", std::move(next)}});
  }

  ControlAnswer operator()(const RemoveOneSegment& request) const {
    const auto registry = find_registry(sessions_, request.registry);
    if (registry == nullptr) return no_such_registry(request.registry).line();
    registry->settle_id(request.shmid);
    Dropped dropped;
    {
      Registry::WriteGuard state = registry->write();
      const auto found = state->find(request.shmid);
      if (!found) {
        return no_such_segment(request.shmid).line();
      }
      state.apply(RemoveSegment{*found}, dropped);
    }
    dropped.free_aside(registry->host());
    note_removed(request);
    spdlog::info("a control client removes segment {} of {}", request.shmid, request.registry);
    return to_line({{"reply", "remove"}, {"registry", request.registry}, {"shmid", request.shmid}});
  }

  ControlAnswer operator()(const SetLimits& request) const {
    const auto registry = find_registry(sessions_, request.registry);
    if (registry == nullptr) return no_such_registry(request.registry).line();
    registry->set_limits(request.limits);
    const Limits limits = registry->read()->limits();
    spdlog::info("a control client sets the limits of {}: shmmax {}, shmall {}, shmmni {}",
                 request.registry, limits.shmmax, limits.shmall, limits.shmmni);
    return to_line(
        {{"reply", "set"}, {"registry", request.registry}, {"limits", limits_of(limits)}});
  }

  ControlAnswer operator()(const Report& /*request*/) const { return answer_report(sessions_); }

  ControlAnswer operator()(const Counters& request) const {
    return answer_counters(request, sessions_);
  }

  ControlAnswer operator()(const OpenSegment& request) const {
    return answer_open(request, sessions_);
  }
  ControlAnswer operator()(const TakeSnapshot& request) const {
    return answer_snapshot(request, sessions_);
  }
  ControlAnswer operator()(const AllocateSegment& request) const {
    return answer_allocate(request, sessions_, client_);
  }
  ControlAnswer operator()(const InsertAllocated& /*request*/) const {
    ControlAnswer answer = answer_insert(client_);
    note_peaks(sessions_);  // the segment may be gone before the next report
    return answer;
  }
  ControlAnswer operator()(const DetachSegment& request) const {
    return answer_detach(request, sessions_);
  }
  ControlAnswer operator()(const StillThere& /*request*/) const {
    return to_line({{"reply", "still-there"}});
  }

  /// It is answered where the configuration is known.
  ControlAnswer operator()(const Reload& /*request*/) const {
    return Refusal{"no-configuration", "it was started without --config"}.line();
  }

  /// The same.
  ControlAnswer operator()(const Upgrade& /*request*/) const {
    return Refusal{"no-keeper", "it was started without --keeper, so no other program takes over"}
        .line();
  }

  /// It is answered where the client is served.
  ControlAnswer operator()(const FollowCalls& /*request*/) const {
    return Refusal{"bad-request", "nothing is followed here"}.line();
  }

 private:
  void note_removed(const RemoveOneSegment& request) const {
    for (const NamedSession& session : sessions_) {
      for (const NamedRegistry& named : registries_of({session})) {
        if (named.name != request.registry) continue;
        session.session->tally().note_removed({session.session->number(), named.ipc_namespace},
                                              request.shmid,
                                              !named.registry->read()->find(request.shmid));
      }
    }
  }

  const std::vector<NamedSession>& sessions_;
  ClientLoad& client_;
};

}  // namespace

ControlAnswer answer_control_request(const ControlRequest& request,
                                     const std::vector<NamedSession>& sessions,
                                     ClientLoad& client) {
  ControlAnswer answer = std::visit(Answering(sessions, client), request);
  if (answer.line.size() <= control::kMostReplyBytes) return answer;
  return Refusal{"too-long", "the answer is longer than a reply may be"}.line();
}

}  // namespace shmvisor
