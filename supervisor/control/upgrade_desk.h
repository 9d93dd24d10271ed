// UpgradeDesk: hands a client's wish for an upgrade to the keeper, and its refusal back. Where the
// keeper grants it, this process ends, and the client's connection with it.
//
// A wish that an earlier server took is the keeper's still: the client comes again, and waits for it
// here.
//
// Ownership: borrows what the keeper has. Thread rule: the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "supervisor/keeper/kept_upgrade.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class UpgradeDesk {
 public:
  struct Refusal {
    std::string program;  ///< its path
    std::string why_not;
    bool answers_client = false;  ///< no client's wish is under way any more
  };
  using Told = std::function<void(const Refusal&)>;

  /// `asked`, `answered`: eventfds of KeptUpgrade.
  UpgradeDesk(EventLoop& loop, KeptUpgrade& upgrade, int asked, int answered);

  /// Of each refusal; also of one that an earlier server has not told.
  void tell(Told told);
  /// `program`: its path; empty: where ours was started from. False while another client's upgrade
  /// is under way.
  [[nodiscard]] bool ask(const std::string& program);

 private:
  void hear(int answered);
  void tell_news();
  void wake_keeper() const;

  KeptUpgrade& upgrade_;
  const int asked_;
  bool has_client_ = false;  ///< of the wish that is under way
  Told told_;
  const EventLoop::Source answer_came_;
};

}  // namespace shmvisor
