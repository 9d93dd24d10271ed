#include "supervisor/control/control_answer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <variant>

#include "supervisor/control/counters_answer.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_json.h"
#include "supervisor/control/report_answer.h"

namespace shmvisor {
namespace {

using control::describe;
using control::files_of;
using control::Json;
using control::limits_of;
using control::OurViewpoint;
using control::Refusal;
using control::to_line;

class Answering {
 public:
  explicit Answering(const std::vector<NamedSession>& sessions) : sessions_(sessions) {}

  std::string operator()(const ListRegistries& /*request*/) const {
    Json all = Json::array();
    for (const NamedRegistry& named : registries_of(sessions_)) all.push_back(describe(named));
    return to_line({{"reply", "registries"}, {"registries", std::move(all)}});
  }

  std::string operator()(const ListSegments& request) const {
    const auto registry = find(request.registry);
    if (registry == nullptr) return no_such(request.registry);
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
    const auto files = files_of(*rows, *registry);
    Json segments = Json::array();
    for (std::size_t place = 0; place < rows->size(); ++place) {
      segments.push_back(describe((*rows)[place], files[place]));
    }
    return to_line({{"reply", "segments"},
                    {"registry", request.registry},
                    {"segments", std::move(segments)},
                    {"next", std::move(next)}});
  }

  std::string operator()(const ListProcesses& /*request*/) const {
    Json all = Json::array();
    for (const NamedSession& one : sessions_) {
      const auto pids = one.session->scope().processes();
      if (!pids) {
        return Refusal{"no-memory", "processes cannot be listed: descriptors or memory are short"}
            .line();
      }
      const std::size_t count = std::min(pids->size(), control::kProcessesInAReply);
      const auto end = pids->begin() + static_cast<std::ptrdiff_t>(count);
      all.push_back({{"name", one.name},
                     {"pids", std::vector<pid_t>(pids->begin(), end)},
                     {"complete", count == pids->size()}});
    }
    return to_line({{"reply", "processes"}, {"sessions", std::move(all)}});
  }

  std::string operator()(const RemoveOneSegment& request) const {
    const auto registry = find(request.registry);
    if (registry == nullptr) return no_such(request.registry);
    registry->settle_id(request.shmid);
    Dropped dropped;
    {
      Registry::WriteGuard state = registry->write();
      const auto found = state->find(request.shmid);
      if (!found) {
        return Refusal{"no-such-segment", "there is no segment " + std::to_string(request.shmid)}
            .line();
      }
      state.apply(RemoveSegment{*found}, dropped);
    }
    dropped.free_aside(registry->host());
    spdlog::info("a control client removes segment {} of {}", request.shmid, request.registry);
    return to_line({{"reply", "remove"}, {"registry", request.registry}, {"shmid", request.shmid}});
  }

  std::string operator()(const SetLimits& request) const {
    const auto registry = find(request.registry);
    if (registry == nullptr) return no_such(request.registry);
    registry->set_limits(request.limits);
    const Limits limits = registry->read()->limits();
    spdlog::info("a control client sets the limits of {}: shmmax {}, shmall {}, shmmni {}",
                 request.registry, limits.shmmax, limits.shmall, limits.shmmni);
    return to_line(
        {{"reply", "set"}, {"registry", request.registry}, {"limits", limits_of(limits)}});
  }

  std::string operator()(const Report& /*request*/) const { return answer_report(sessions_); }

  std::string operator()(const Counters& /*request*/) const { return answer_counters(sessions_); }

  /// It is answered where the configuration is known.
  std::string operator()(const Reload& /*request*/) const {
    return Refusal{"no-configuration", "it was started without --config"}.line();
  }

  /// It is answered where the client is served.
  std::string operator()(const FollowCalls& /*request*/) const {
    return Refusal{"bad-request", "nothing is followed here"}.line();
  }

 private:
  [[nodiscard]] std::shared_ptr<Registry> find(const std::string& name) const {
    for (auto& named : registries_of(sessions_)) {
      if (named.name == name) return std::move(named.registry);
    }
    return nullptr;
  }
  static std::string no_such(const std::string& name) {
    return Refusal{"no-such-registry", "there is no registry '" + name + "'"}.line();
  }

  const std::vector<NamedSession>& sessions_;
};

}  // namespace

std::string answer_control_request(const ControlRequest& request,
                                   const std::vector<NamedSession>& sessions) {
  std::string line = std::visit(Answering(sessions), request);
  if (line.size() <= control::kMostReplyBytes) return line;
  return Refusal{"too-long", "the answer is longer than a reply may be"}.line();
}

}  // namespace shmvisor
