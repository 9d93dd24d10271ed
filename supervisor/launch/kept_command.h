// KeptCommand: the command as a server knows it that has a keeper, whose child the command is.
//
// Ownership: borrows the loop and the page. Thread rule: the main thread.
#pragma once

#include "supervisor/keeper/keeper_page.h"
#include "supervisor/launch/command_watch.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class KeptCommand : public CommandWatch {
 public:
  /// `news`: an eventfd that the keeper writes to when it has changed something in the page.
  KeptCommand(EventLoop& loop, const KeeperPage& page, int news);

  [[nodiscard]] bool valid() const override { return true; }
  int run(bool linger, const std::function<bool()>& all_gone) override;
  void run_until(int fd) override;

 private:
  [[nodiscard]] bool ended() const { return page_.command_status.load() != KeeperPage::kNone; }

  EventLoop& loop_;
  const KeeperPage& page_;
  EventLoop::Source news_came_;
};

}  // namespace shmvisor
