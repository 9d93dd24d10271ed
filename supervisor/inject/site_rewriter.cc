#include "supervisor/inject/site_rewriter.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <bit>
#include <climits>

#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/arch/remote_call.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStubBytes = sizeof(call_site::Stub);
/// Where a page of stubs has the call page's signature.
std::uint64_t mark_offset() { return kPageBytes - sizeof(call_site::Word); }
std::uint64_t stubs_of_page() { return mark_offset() / kStubBytes; }

/// Or else it attaches: no other calls have sites.
bool detaches(const seccomp_data& call) {
  return static_cast<std::uint64_t>(call.nr) == call_number(page_code::abi(), RemoteCall::kShmdt);
}

bool is_due_at(int calls, int before) {
  return calls % before == 0 && std::has_single_bit(static_cast<unsigned>(calls / before));
}

}  // namespace

void SiteRewriter::rewrite_if_due() {
  if (!is_due()) return;
  const seccomp_data& call = hold_.call().data();
  const std::uint64_t site = call.instruction_pointer - call_site::kBytes;
  const auto word = site_at(site);
  if (!word || has_other_threads() || has_other_filter() ||
      !hold_.thread().may_run_untraced(features_) || !is_alone()) {
    return;
  }
  const auto stub = stub_for(site);
  const auto jump = stub ? call_site::with_jump(*word, site, *stub) : std::nullopt;
  if (jump && hold_.thread().poke(site, *jump)) {
    spdlog::debug("thread {}: its call site at {:#x} leads into the call page", hold_.call().tid(),
                  site);
  }
}

bool SiteRewriter::is_due() const {
  const CallPageUse& use = page_.use();
  const PendingCall& call = hold_.call();
  if (use.page == nullptr || use.site_calls == nullptr || !use.caller_may_complete ||
      !hold_.waits_killably() || call.raw().abi != page_code::abi() ||
      !features_.usable(KernelFeature::kCallSites) ||
      use.page->message(call.data()) != CallPage::Message::kNone) {
    return false;
  }
  std::atomic<int>& count =
      detaches(call.data()) ? use.site_calls->detaches : use.site_calls->attaches;
  const int calls = count.load(std::memory_order_relaxed);
  if (calls != INT_MAX) count.store(calls + 1, std::memory_order_relaxed);
  return !features_.usable(KernelFeature::kLateCallSites) || is_due_at(calls + 1, kCallsBefore);
}

std::optional<call_site::Word> SiteRewriter::site_at(std::uint64_t site) const {
  constexpr unsigned kHighestByte = 56;
  const auto word = hold_.thread().peek(site);
  const auto before = hold_.thread().peek(site - sizeof(call_site::Word));
  if (!word || !before ||
      !call_site::is_site(*word, static_cast<std::uint8_t>(*before >> kHighestByte),
                          hold_.call().data().nr) ||
      !is_own_code(site)) {
    return std::nullopt;
  }
  return word;
}

bool SiteRewriter::is_own_code(std::uint64_t site) const {
  auto map = MemoryMap::open(hold_.call().tid(), features_);
  if (!map) return false;
  const AddressRange bytes{site, call_site::kBytes};
  const auto area = map->area_above(site, Areas::kAll);
  if (!area || !*area || !(*area)->range.overlaps(bytes) || !(*area)->access.execute ||
      (*area)->access.write || (*area)->range.end() < bytes.end()) {
    return false;
  }
  const auto shared = map->area_above(site, Areas::kShared);
  return shared && (!*shared || !(*shared)->range.overlaps(bytes));
}

bool SiteRewriter::has_other_threads() const {
  // Its own folder, its parent, and one for each thread.
  constexpr nlink_t kLinksOfOne = 3;
  struct stat status {};
  return ::stat(proc_path(hold_.call().tid(), "task").c_str(), &status) != 0 ||
         status.st_nlink != kLinksOfOne;
}

bool SiteRewriter::has_other_filter() const {
  const auto status = TaskStatus::read(hold_.call().tid());
  return !status || status->seccomp_filters != page_.use().page->filters_of_callers();
}

bool SiteRewriter::is_alone() const {
  // check_unshare_flags() of kernel/fork.c: EINVAL unless no other task has the address space, and
  // then there is nothing to unshare. Our own filter lets it through.
  const auto unshared = hold_.thread().call(page_code::abi(), RemoteCall::kUnshare, {CLONE_VM});
  return unshared && *unshared == 0;
}

std::optional<std::uint64_t> SiteRewriter::stub_for(std::uint64_t site) const {
  const CallPage& page = *page_.use().page;
  const auto task = detaches(hold_.call().data()) ? CallPage::Task::kUnmap : CallPage::Task::kMap;
  const call_site::Stub stub = call_site::stub(site + call_site::kBytes, page.site_entry(task));
  for (const std::uint64_t drawn : page.drawn_for_stubs()) {
    const std::uint64_t stubs = call_site::place_of_stubs(site, drawn);
    const auto mark = hold_.thread().peek(stubs + mark_offset());
    if (mark ? *mark != page.signature() : !make_page_of_stubs(stubs)) continue;
    if (const auto found = stub_in(stubs, stub)) return found;
  }
  return std::nullopt;
}

bool SiteRewriter::make_page_of_stubs(std::uint64_t page) const {
  StoppedThread& thread = hold_.thread();
  const auto mapped = thread.call(page_code::abi(), RemoteCall::kMmap,
                                  {page, kPageBytes, PROT_READ | PROT_EXEC,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, kNoFile, 0});
  if (!mapped || static_cast<std::uint64_t>(*mapped) != page) return false;
  // As the call page: PageInstaller.
  (void)thread.call(page_code::abi(), RemoteCall::kMunlock, {page, kPageBytes});
  return thread.poke(page + mark_offset(), page_.use().page->signature());
}

std::optional<std::uint64_t> SiteRewriter::stub_in(std::uint64_t page,
                                                   const call_site::Stub& stub) const {
  StoppedThread& thread = hold_.thread();
  for (std::uint64_t address = page; address != page + stubs_of_page() * kStubBytes;
       address += kStubBytes) {
    if (thread.peek(address) == call_site::Word{0}) return write(address, stub);
    bool same = true;
    for (std::size_t at = 0; same && at < stub.size(); ++at) {
      same = thread.peek(address + at * sizeof(call_site::Word)) == stub.at(at);
    }
    if (same) return address;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> SiteRewriter::write(std::uint64_t address,
                                                 const call_site::Stub& stub) const {
  for (std::size_t at = 0; at < stub.size(); ++at) {
    if (!hold_.thread().poke(address + at * sizeof(call_site::Word), stub.at(at))) {
      return std::nullopt;
    }
  }
  return address;
}

}  // namespace shmvisor
