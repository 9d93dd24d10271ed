// CallAudit: an audit record of each call that a limit, a rule or a permission refuses.
//
// Ownership: copies its arguments. Thread rule: any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "supervisor/serve/call_observer.h"

namespace shmvisor {

class CallAudit final : public CallObserver {
 public:
  /// `containers`: the names of the callers' container, its id first.
  explicit CallAudit(std::vector<std::string> containers) : containers_(std::move(containers)) {}

  void decided(const CallRecord& record) noexcept override;
  void answered(const CallRecord& /*record*/, bool /*delivered*/) noexcept override {}
  void refused(const RefusedCall& call) noexcept override;

 private:
  void add(const RefusedCall& call) const noexcept;

  const std::vector<std::string> containers_;
};

}  // namespace shmvisor
