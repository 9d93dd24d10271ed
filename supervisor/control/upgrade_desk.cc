#include "supervisor/control/upgrade_desk.h"

#include <poll.h>

#include <utility>

#include "supervisor/audit/process_audit.h"
#include "supervisor/kernel/event_descriptor.h"

namespace shmvisor {
UpgradeDesk::UpgradeDesk(EventLoop& loop, KeptUpgrade& upgrade, int asked, int answered)
    : upgrade_(upgrade),
      asked_(asked),
      answer_came_(loop.watch(answered, POLLIN, [this, answered](short) { hear(answered); })) {
  // The server that took it may have died before the keeper was told.
  tell_by(asked_);
  tell_by(answered);
}

bool UpgradeDesk::ask(const std::string& program) {
  if (wish_ != 0) return false;
  if (!upgrade_.under_way()) {
    KeptUpgrade::set(upgrade_.program, program);
    upgrade_.asked.fetch_add(1);
  } else if (KeptUpgrade::get(upgrade_.program) != program) {
    return false;
  }
  wish_ = upgrade_.asked.load();
  tell_by(asked_);
  return true;
}

void UpgradeDesk::hear(int answered) {
  take_news(answered);
  tell_news();
}

void UpgradeDesk::tell_news() {
  if (upgrade_.all_told()) return;
  const std::uint32_t refused = upgrade_.refused.load();
  const bool answers_client = wish_ != 0 && upgrade_.refused_wish.load() == wish_;
  if (answers_client) wish_ = 0;
  const Refusal refusal{KeptUpgrade::get(upgrade_.refused_program),
                        KeptUpgrade::get(upgrade_.why_not), refused, answers_client};
  upgrade_.told.store(refused);
  audit(AuditLog::kNobody, [&refusal] {
    AuditRecord record("upgrade");
    record.add("result", "refused").add("program", refusal.program);
    return std::move(record.add("because", refusal.why_not));
  });
  if (told_) told_(refusal);
  tell_by(asked_);  // the keeper sees to the next wish
}

}  // namespace shmvisor
