#include "supervisor/launch/kept.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>

#include "policy/base/unique_fd.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

/// Deaths within a minute are counted.
constexpr std::chrono::milliseconds kBeforeNextServer(500);

}  // namespace

void Kept::tell() const {
  const std::uint64_t one = 1;
  (void)!::write(news, &one, sizeof(one));
}

Result<Kept, std::string> prepare_keeper(KernelFeatures& features, bool may_be_joined) {
  KeeperPage* const page = KeeperPage::create();
  KeptVisitors* const visitors = may_be_joined ? KeptVisitors::create() : nullptr;
  UniqueFd news(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (page == nullptr || (may_be_joined && visitors == nullptr) || !news.valid()) {
    return std::string("cannot begin: ") + std::strerror(errno);
  }
  auto state = StateFile::create();
  if (!state) return "the state " + state.error();
  const auto threads = numbered_entries("/proc/self/task");
  if (!threads || threads->size() != 1) {
    return std::string("cannot begin: there is another thread");
  }
  KeptDescriptors::use(&page->descriptors);
  // A caller that runs system calls step by step dies with its server. So it is to do that once.
  features.mark_absent(KernelFeature::kLateCallSites);
  return Kept{*page, *state->release(), visitors, news.release(), ::getpid()};
}

void leave_to_next(int status) {
  std::this_thread::sleep_for(kBeforeNextServer);
  end_process_at_once(status);
}

}  // namespace shmvisor
