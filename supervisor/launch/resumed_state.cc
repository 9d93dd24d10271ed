#include "supervisor/launch/resumed_state.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "supervisor/audit/process_audit.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/keeper/proof_of_origin.h"
#include "supervisor/kernel/version.h"

namespace shmvisor {
namespace {

/// A server writes meanwhile, and a checkpoint may empty what is just read.
constexpr int kMostReadings = 5;
constexpr std::chrono::milliseconds kBetweenReadings(20);

std::string read_in_vain(StateFile& file) {
  std::string why;
  for (int reading = 0; reading < kMostReadings; ++reading) {
    const auto state = journal::read_state(file);
    if (state) return {};
    why = "the state " + state.error();
    std::this_thread::sleep_for(kBetweenReadings);
  }
  return why;
}

}  // namespace

std::string why_not_go_on(const Kept& kept, KernelFeatures& features) {
  KeptStore& store = KeptStore::ours();
  if (!store.trouble().empty()) return store.trouble();
  if (const std::string lost = store.not_asked_for(); !lost.empty()) {
    return "this shmvisor, with these options, does not know of " + lost;
  }
  const auto needed = store.number("capabilities");
  if (needed && (static_cast<std::uint64_t>(*needed) & ~permitted_capabilities()) != 0) {
    return "this file gives fewer capabilities than the running program has";
  }
  if (CallPage::kept() != nullptr && CallPage::kept()->file.load() >= 0) {
    if (!features.usable(KernelFeature::kCallPage) || !CallPage::knows(*CallPage::kept())) {
      return "this shmvisor has another page of code than the one that callers have";
    }
  }
  if (store.only_looks()) return read_in_vain(kept.state);
  return {};
}

std::optional<std::string> open_resumed_audit(const AuditOptions& options,
                                              const AuditSource& source) {
  const bool only_looks = KeptStore::ours().only_looks();
  return open_process_audit(options, source,
                            only_looks ? AuditOf::kServers : AuditOf::kNextServers);
}

void end_where_only_asked() {
  if (!KeptStore::ours().only_looks()) return;
  say_that_we_can_go_on(program_version());
  ::_exit(0);
}

void note_socket(const std::string& name, int fd, const SocketFile& file) {
  KeptStore& store = KeptStore::ours();
  const SocketFile::Place place = file.place();
  store.note_descriptor(name, fd);
  store.note_text(name, place.path);
  store.note(name + " device", static_cast<std::int64_t>(place.device));
  store.note(name + " inode", static_cast<std::int64_t>(place.inode));
}

KeptSocket kept_socket(const std::string& name) {
  const KeptStore& store = KeptStore::ours();
  const auto fd = store.descriptor(name);
  if (!fd) return {};
  return {*fd,
          {store.text(name), static_cast<dev_t>(store.number(name + " device").value_or(0)),
           static_cast<ino_t>(store.number(name + " inode").value_or(0))}};
}

}  // namespace shmvisor
