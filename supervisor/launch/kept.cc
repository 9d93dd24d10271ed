#include "supervisor/launch/kept.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/kept_call_page.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/kernel/event_descriptor.h"
#include "supervisor/kernel/version.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

/// Deaths within a minute are counted.
constexpr std::chrono::milliseconds kBeforeNextServer(500);

constexpr const char* kStateName = "state";

Result<std::unique_ptr<StateFile>, std::string> open_state() {
  const KeptStore& store = KeptStore::ours();
  const auto there = store.resumes() ? store.descriptor(kStateName) : std::nullopt;
  if (!there) return StateFile::create();
  UniqueFd file(*there);
  auto state = StateFile::open(file);
  // The program before this one may go on with it.
  if (!state) (void)file.release();
  return state;
}

/// What the program before this one was asked for: this one is the answer, or goes on instead.
void answer_wishes(KeptUpgrade& upgrade) {
  const KeptStore& store = KeptStore::ours();
  const auto answered = store.number(kAnsweredWishes);
  if (!store.resumes() || !answered) return;
  const auto wish = static_cast<std::uint32_t>(*answered);
  const bool was_signals = upgrade.answered.exchange(wish) == wish;
  if (went_back()) {
    upgrade.refuse(store.text(kNextProgram), "it began, and could not go on",
                   was_signals ? 0 : wish);
  }
}

}  // namespace

void Kept::tell() const { tell_by(news); }

int event_descriptor(const std::string& name) {
  KeptStore& store = KeptStore::ours();
  if (const auto there = store.descriptor(name); there && store.resumes()) return *there;
  UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.valid()) return -1;
  store.note_descriptor(name, made.get());
  return made.release();
}

Result<Kept, std::string> prepare_keeper(KernelFeatures& features, bool may_be_joined) {
  KeptStore& store = KeptStore::ours();
  KeeperPage* const page = KeeperPage::create();
  auto* const upgrade = store.object<KeptUpgrade>("upgrade");
  KeptVisitors* const visitors = may_be_joined ? KeptVisitors::create() : nullptr;
  auto* const call_page = store.object<KeptCallPage>("call page");
  const int news = event_descriptor("news");
  const int asked = event_descriptor("upgrade asked");
  const int answered = event_descriptor("upgrade answered");
  if (page == nullptr || upgrade == nullptr || call_page == nullptr ||
      (may_be_joined && visitors == nullptr) || news < 0 || asked < 0 || answered < 0) {
    return store.trouble().empty() ? std::string("cannot begin: ") + std::strerror(errno)
                                   : store.trouble();
  }
  const auto threads = numbered_entries("/proc/self/task");
  if (!threads || threads->size() != 1) {
    return std::string("cannot begin: there is another thread");
  }
  // Last, since it has the descriptor that another program may need.
  auto state = open_state();
  if (!state) return "the state " + state.error();
  store.note_descriptor(kStateName, (*state)->fd());
  if (!store.only_looks()) {
    (*state)->header().paused.store(0);
    answer_wishes(*upgrade);
  }
  KeptDescriptors::use(&page->descriptors);
  CallPage::keep_in(*call_page);
  // A caller that runs system calls step by step dies with its server. So it is to do that once.
  features.mark_absent(KernelFeature::kLateCallSites);
  return Kept{*page, *state->release(), visitors, *upgrade, asked, answered, news, ::getpid()};
}

AuditRecord record_of_takeover() {
  AuditRecord record("takeover");
  record.add("pid", ::getpid()).add("version", program_version());
  return std::move(record.add("upgrades", KeptStore::ours().number("upgrades").value_or(0)));
}

void leave_to_next(int status) {
  std::this_thread::sleep_for(kBeforeNextServer);
  end_process_at_once(status);
}

}  // namespace shmvisor
