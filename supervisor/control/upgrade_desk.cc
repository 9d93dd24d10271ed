#include "supervisor/control/upgrade_desk.h"

#include <poll.h>
#include <unistd.h>

#include <utility>

namespace shmvisor {

UpgradeDesk::UpgradeDesk(EventLoop& loop, KeptUpgrade& upgrade, int asked, int answered)
    : upgrade_(upgrade),
      asked_(asked),
      answer_came_(loop.watch(answered, POLLIN, [this, answered](short) { hear(answered); })) {
  // The server that took it may have died before the keeper was told.
  if (upgrade_.under_way()) wake_keeper();
}

void UpgradeDesk::tell(Told told) {
  told_ = std::move(told);
  tell_news();
}

bool UpgradeDesk::ask(const std::string& program) {
  if (upgrade_.under_way()) {
    if (has_client_ || KeptUpgrade::get(upgrade_.program) != program) return false;
  } else {
    KeptUpgrade::set(upgrade_.program, program);
    upgrade_.asked.fetch_add(1);
  }
  has_client_ = true;
  wake_keeper();
  return true;
}

void UpgradeDesk::hear(int answered) {
  std::uint64_t count = 0;
  (void)!::read(answered, &count, sizeof(count));
  tell_news();
}

void UpgradeDesk::tell_news() {
  const std::uint32_t refused = upgrade_.refused.load();
  if (upgrade_.told.exchange(refused) == refused) return;
  const bool answers_client = !upgrade_.under_way();
  if (answers_client) has_client_ = false;
  if (told_) {
    told_({KeptUpgrade::get(upgrade_.refused_program), KeptUpgrade::get(upgrade_.why_not),
           answers_client});
  }
}

void UpgradeDesk::wake_keeper() const {
  const std::uint64_t one = 1;
  (void)!::write(asked_, &one, sizeof(one));
}

}  // namespace shmvisor
