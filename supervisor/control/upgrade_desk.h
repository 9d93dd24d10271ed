// UpgradeDesk: hands a client's wish for an upgrade to the keeper, and its refusal back. Where the
// keeper grants it, this process ends, and the client's connection with it.
//
// A wish that an earlier server took is the keeper's still: the client comes again, and waits for
// it here. So is a refusal that an earlier server has not told: it is told when the loop turns.
//
// Each refusal is audited, also one of a signal's wish.
//
// Ownership: borrows what the keeper has. Thread rule: the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "supervisor/keeper/kept_upgrade.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class UpgradeDesk {
 public:
  struct Refusal {
    std::string program;  ///< its path
    std::string why_not;
    std::uint32_t number = 0;     ///< KeptUpgrade::refused
    bool answers_client = false;  ///< of this desk
  };
  using Told = std::function<void(const Refusal&)>;

  /// `asked`, `answered`: eventfds of KeptUpgrade.
  UpgradeDesk(EventLoop& loop, KeptUpgrade& upgrade, int asked, int answered);

  /// Who else is told of each refusal; null: nobody.
  void tell(Told told) { told_ = std::move(told); }
  /// KeptUpgrade::refused
  [[nodiscard]] std::uint32_t refused() const { return upgrade_.refused.load(); }
  /// `program`: its path; empty: where ours was started from. False while another client's upgrade
  /// is under way.
  [[nodiscard]] bool ask(const std::string& program);

 private:
  void hear(int answered);
  void tell_news();

  KeptUpgrade& upgrade_;
  const int asked_;
  std::uint32_t wish_ = 0;  ///< the number of a client's, which has no answer yet; 0: none
  Told told_;
  const EventLoop::Source answer_came_;
};

}  // namespace shmvisor
