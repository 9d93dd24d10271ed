// UpgradeDesk: hands a client's wish for an upgrade to the keeper, and its refusal back. Where the
// keeper grants it, this process ends, and the client's connection with it.
//
// Ownership: borrows what the keeper has. Thread rule: the loop's thread.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "supervisor/keeper/kept_upgrade.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class UpgradeDesk {
 public:
  using Told = std::function<void(const std::string& why_not)>;

  /// `asked`, `answered`: eventfds of KeptUpgrade.
  UpgradeDesk(EventLoop& loop, KeptUpgrade& upgrade, int asked, int answered)
      : upgrade_(upgrade),
        asked_(asked),
        answer_came_(loop.watch(answered, POLLIN, [this, answered](short) { hear(answered); })) {}

  /// Of each refusal.
  void tell(Told told) { told_ = std::move(told); }
  /// `program`: its path; empty: where ours was started from. False while an upgrade is under way.
  [[nodiscard]] bool ask(const std::string& program) {
    if (upgrade_.under_way()) return false;
    KeptUpgrade::set(upgrade_.program, program);
    upgrade_.asked.fetch_add(1);
    const std::uint64_t one = 1;
    (void)!::write(asked_, &one, sizeof(one));
    return true;
  }

 private:
  void hear(int answered) {
    std::uint64_t count = 0;
    (void)!::read(answered, &count, sizeof(count));
    if (!upgrade_.under_way() && told_) told_(KeptUpgrade::get(upgrade_.why_not));
  }

  KeptUpgrade& upgrade_;
  const int asked_;
  Told told_;
  const EventLoop::Source answer_came_;
};

}  // namespace shmvisor
