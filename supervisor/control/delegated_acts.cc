// The acts that a ControlServer hands on to others, and whose outcome comes later: reload and
// upgrade.
#include <string>
#include <utility>
#include <vector>

#include "supervisor/control/audited_request.h"
#include "supervisor/control/control_server.h"
#include "supervisor/control/protocol.h"
#include "supervisor/control/reload_answer.h"

namespace shmvisor {

void ControlServer::reload_by(Reloader& reloader) {
  reloader_ = &reloader;
  reloader.tell([this](Reloader::Reading reading, const SteeringUpdate& update) {
    deliver_reload(reading, update);
  });
}

void ControlServer::deliver_reload(Reloader::Reading reading, const SteeringUpdate& update) {
  // What they ask next may drop others.
  std::vector<AnswerQueue::ClientNumber> asked;
  for (const Client& client : clients_) {
    if (client.waits_for_reading == reading) asked.push_back(client.number);
  }
  if (asked.empty() && reload_acts_.empty()) return;
  const std::string line = answer_reload(update);
  for (const AuditRecord& act : reload_acts_.take(reading, line)) tell(act);
  for (const auto number : asked) deliver(number, line);
}

void ControlServer::give_up_reloads() {
  for (const AuditRecord& act : reload_acts_.take_rest()) tell(act);
}

void ControlServer::upgrade_by(UpgradeDesk& desk) {
  upgrade_desk_ = &desk;
  hello_ = hello(desk.refused());
  desk.tell([this](const UpgradeDesk::Refusal& refusal) {
    hello_ = hello(refusal.number);
    if (!refusal.answers_client) return;
    std::vector<AnswerQueue::ClientNumber> asked;
    for (const Client& client : clients_) {
      if (client.waits_for_upgrade) asked.push_back(client.number);
    }
    const std::string line = control::Refusal{"cannot-upgrade", refusal.why_not}.line();
    for (const auto number : asked) deliver(number, line);
  });
}

void ControlServer::ask_for_upgrade(Client& client, const Upgrade& request,
                                    std::optional<AuditRecord> act) {
  const bool asked = upgrade_desk_->ask(request.program);
  if (act) tell(act->add("result", asked ? "asked" : "under-way"));
  if (asked) {
    client.waits_for_answer = true;
    client.waits_for_upgrade = true;
    return;
  }
  client.connection.add(control::Refusal{"cannot-upgrade", "another upgrade is under way"}.line());
  client.refused = true;
}

}  // namespace shmvisor
