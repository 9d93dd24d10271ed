#include "supervisor/inject/mapped_from_site.h"

#include <sys/mman.h>

#include <memory>
#include <utility>

#include "policy/base/error_result.h"
#include "policy/base/fault_point.h"
#include "supervisor/inject/call_from_site.h"
#include "supervisor/inject/outgoing_files.h"

namespace shmvisor {
namespace {

constexpr std::size_t kMmapProtection = 2;

/// The descriptor as the answer. A caller that gets none makes its call again.
class AnswerWithDescriptor : public AnswerRoute {
 public:
  /// `caller`: its ThreadIdentity::unique().
  AnswerWithDescriptor(PendingCall& call, std::uint64_t caller, UniqueFd file,
                       const LentDescriptor& lent)
      : call_(call), caller_(caller), file_(std::move(file)), lent_(lent) {}

  bool deliver(std::int64_t result) override {
    Listener& listener = call_.listener();
    if (!is_error_result(result)) {
      const OutgoingFiles::Stay stay(caller_);
      fault_point("before_answer_with_descriptor");
      const auto lent = lent_.lend_as_answer(listener, call_.id(), call_.tid());
      file_.reset();  // only the mapping shall count for in_use()
      if (lent) return true;
      result = -lent.error().value();
    }
    return listener.respond(call_.id(), result).ok();
  }
  [[nodiscard]] bool holds_caller() const override { return false; }

 private:
  PendingCall& call_;
  const std::uint64_t caller_;
  UniqueFd file_;
  const LentDescriptor lent_;
};

}  // namespace

Result<MapAttempt> MappedFromSite::map(Mapping& mapping) {
  constexpr auto kNotThisWay = MapAttempt::Outcome::kNotThisWay;
  const bool may_write = (mapping.arguments.at(kMmapProtection) & PROT_WRITE) != 0;
  if (!mapping.caller_may_complete || !may_write) return MapAttempt::of(kNotThisWay);
  const LentDescriptor lent(mapping.file.get());
  if (!CallFromSite(hold_, page_).tell({CallPage::Task::kMap, mapping.arguments, lent.mark()})) {
    return MapAttempt::of(kNotThisWay);
  }
  PendingCall& call = hold_.call();
  call.reroute(std::make_shared<AnswerWithDescriptor>(call, page_.use().unique,
                                                      std::move(mapping.file), lent));
  return MapAttempt::of(MapAttempt::Outcome::kCompletedByCaller);
}

}  // namespace shmvisor
