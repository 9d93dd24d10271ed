#include "supervisor/control/segment_page.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/control/registry_page.h"
#include "supervisor/control/table_parts.h"

namespace shmvisor {
namespace {

using control::Json;
using Clock = std::chrono::steady_clock;

/// Those in which a segment may be that is not told yet, in their order.
std::vector<NamedSession> sessions_from(const std::vector<NamedSession>& sessions,
                                        const SegmentPlace& from) {
  auto in_order = sessions_behind(sessions, from.registry);
  const auto first = std::ranges::find(sessions, from.registry.session, &NamedSession::name);
  if (first != sessions.end()) in_order.insert(in_order.begin(), *first);
  return in_order;
}

class Page {
 public:
  explicit Page(const SegmentPlace& from) : from_(from) {}

  [[nodiscard]] bool is_full() const { return next_.has_value(); }
  void add(const NamedSession& session);
  /// What is behind the session is for another page.
  void end_behind(const NamedSession& session) {
    if (!next_) next_ = SegmentPlace{{session.name, UINT64_MAX}, IdSpace::kMaxIds};
  }
  SegmentPage take() { return {std::move(registries_), next_ ? Json(next_->text()) : Json()}; }

 private:
  const SegmentPlace& from_;
  Json registries_ = Json::array();
  std::size_t segments_ = 0;
  std::optional<SegmentPlace> next_;
};

void Page::add(const NamedSession& session) {
  auto registries = registries_of({session});
  std::ranges::sort(registries, {}, &NamedRegistry::ipc_namespace);
  TableParts parts;
  std::vector<std::string> names;
  for (NamedRegistry& named : registries) {
    const RegistryPlace place{session.name, named.ipc_namespace};
    // Of very many, most may have none.
    if (place < from_.registry || named.registry->read()->in_use() == 0) continue;
    const int first = place == from_.registry ? from_.index : 0;
    if (first == 0) named.registry->settle();
    const std::size_t room = control::kSegmentsInAReply - segments_ - parts.rows();
    const int behind = parts.add(std::move(named.registry), first, room);
    names.push_back(std::move(named.name));
    // What fills the page is a part of a registry, also where segments were removed meanwhile, so
    // that fewer are told than there was room for.
    if (behind != IdSpace::kMaxIds || registries_.size() + names.size() == kRegistriesInAReply) {
      next_ = SegmentPlace{place, behind};
      break;
    }
  }
  (void)parts.count_attaches();
  for (std::size_t at = 0; at < names.size(); ++at) {
    const TableParts::Part& part = parts.parts()[at];
    if (part.rows.empty()) continue;
    Json told = {{"name", std::move(names[at])}};
    if (part.is_counted) {
      told["segments"] = part.segments();
    } else {
      told["error"] = {{"code", "no-memory"},
                       {"message", "attaches cannot be counted: descriptors or memory are short"}};
    }
    registries_.push_back(std::move(told));
  }
  segments_ += parts.rows();
}

}  // namespace

SegmentPage page_of_segments(const std::vector<NamedSession>& sessions, const SegmentPlace& from) {
  const auto deadline = Clock::now() + kLongReply;
  Page page(from);
  for (const NamedSession& session : sessions_from(sessions, from)) {
    page.add(session);
    if (Clock::now() >= deadline) page.end_behind(session);
    if (page.is_full()) break;
  }
  return page.take();
}

}  // namespace shmvisor
