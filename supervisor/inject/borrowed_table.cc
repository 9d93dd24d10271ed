#include "supervisor/inject/borrowed_table.h"

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/attached_thread.h"
#include "supervisor/inject/raised_limit.h"
#include "supervisor/resources/task_limit.h"

namespace shmvisor {
namespace {

constexpr int kMostTries = 16;

/// Whether to close the file of this link of /proc/PID/fd never takes a file system's time, while
/// somebody else has it open too. Such a name is no path, so no file of a file system has it.
bool closes_at_once(std::string_view link) {
  return link.starts_with("pipe:[") || link.starts_with("socket:[") ||
         link.starts_with("anon_inode:");
}

/// Whose close is quick, most likely: these are a file's names as well.
bool is_likely_quick(std::string_view link) {
  return link.starts_with("/memfd:") || link.starts_with("/dev/null") ||
         link.starts_with("/dev/zero") || link.starts_with("/dev/pts/");
}

/// An open descriptor whose number the process may have again, and the best to close; -1 where
/// there is none or we cannot see. Of a very large table the first ones are looked at.
int spare_descriptor(pid_t pid) {
  constexpr int kMostLooks = 1024;
  const auto limit = TaskLimit::read(pid, "Max open files");
  auto listing = open_guarded_proc_file(pid, "fd");
  if (!listing) return -1;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(listing->get()), &::closedir);
  if (folder == nullptr) return -1;
  const int opened = listing->release();  // the folder's now
  int any = -1;
  int likely = -1;
  const dirent* entry = nullptr;
  for (int looks = 0; looks < kMostLooks && (entry = ::readdir(folder.get())) != nullptr; ++looks) {
    if (entry->d_name[0] == '.') continue;
    const int number = std::atoi(entry->d_name);
    if (limit && static_cast<std::uint64_t>(number) >= limit->soft) continue;
    std::array<char, 64> text{};
    (void)with_identity_of(pid, kToRead, [&]() -> Result<void> {
      const ssize_t size = ::readlinkat(opened, entry->d_name, text.data(), text.size() - 1);
      if (size < 0) return Errno::current();
      return {};
    });
    if (closes_at_once(text.data())) return number;
    if (likely < 0 && is_likely_quick(text.data())) likely = number;
    if (any < 0) any = number;
  }
  return likely >= 0 ? likely : any;
}

/// Copies `limit` from or to its memory.
template <typename Copy>
bool transfer(pid_t tid, Copy copy, rlimit64& limit, std::uint64_t address) {
  const iovec ours{&limit, sizeof(limit)};
  const iovec theirs{reinterpret_cast<void*>(address), sizeof(limit)};
  const auto copied = with_identity_of(tid, kToTrace, [&]() -> Result<void> {
    const ssize_t moved = copy(tid, &ours, 1, &theirs, 1, 0);
    if (moved != static_cast<ssize_t>(sizeof(limit))) return Errno::current();
    return {};
  });
  return copied.ok();
}

}  // namespace

Result<MapAttempt> BorrowedTable::map(Mapping& mapping) {
  const auto lender = hold_.thread().clone_stopped(abi_, CLONE_VM);
  if (!lender) return lender.error() == Errno(ESRCH) ? Errno(ESRCH) : Errno(ENOMEM);
  Result<std::int64_t> mapped = Errno(ENOMEM);
  // Its process may move it into a control group that is frozen.
  auto child = AttachedThread::adopt(lender->tid, Tracee::Waits::kLimited).wait_until_stopped();
  if (child) {
    // Let go, it would run the caller's own code, a second time.
    child->die_with_us();
    try {
      mapped = map_in(*child, mapping);
    } catch (const std::bad_alloc&) {
      hold_.expected().end(child->tid());
    }
    child->kill();
  }
  // It is the caller's child, and must not stay behind as a zombie that the caller never made. One
  // that does not end is not waited for: it dies when this thread ends, as it does with its tracer.
  const auto reaped = hold_.thread().call(
      abi_, RemoteCall::kWait4,
      {static_cast<std::uint64_t>(lender->pid_in_caller), 0, std::uint64_t{__WALL | WNOHANG}, 0});
  if (!reaped) return reaped.error();
  if (!mapped) return mapped.error();
  return MapAttempt::answered(*mapped);
}

Result<std::int64_t> BorrowedTable::map_in(StoppedThread& lender, Mapping& mapping) {
  if (!raise_limit(lender)) (void)close_one(lender);
  auto installed = install_at_last(lender, mapping.file.get());
  // A limit may be raised to where the table is full as well.
  if (!installed && installed.error() == Errno(EMFILE) && close_one(lender)) {
    installed = install_at_last(lender, mapping.file.get());
  }
  if (!installed) return Errno(ENOMEM);
  mapping.arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*installed);
  const auto mapped = lender.call(abi_, RemoteCall::kMmap, mapping.arguments);
  return mapped ? mapped : Result<std::int64_t>(Errno(ENOMEM));
}

Result<int> BorrowedTable::install_at_last(StoppedThread& lender, int fd) {
  Result<int> installed = Errno(ENOENT);
  for (int tries = 0; tries < kMostTries && !installed && installed.error() == Errno(ENOENT);
       ++tries) {
    installed = install(lender, fd);
  }
  return installed;
}

Result<int> BorrowedTable::install(StoppedThread& lender, int fd) {
  ExpectedCalls& expected = hold_.expected();
  expected.expect(lender.tid());
  auto parked = lender.begin_call(abi_, RemoteCall::kShmdt, {1});
  if (!parked) {
    expected.end(lender.tid());
    return Errno(ENOMEM);
  }
  const auto id = expected.await(lender.tid());
  if (!id) return Errno(ENOMEM);
  Listener& listener = hold_.call().listener();
  const Result<int> installed = listener.add_fd(*id, fd);
  (void)listener.respond(*id, kCallAgain);
  if (!parked->finish()) return Errno(ENOMEM);
  return installed;
}

bool BorrowedTable::raise_limit(StoppedThread& lender) {
  // Limits are a process's own, so this one may use all of its hard limit.
  return RaisedLimit::raise_for_good(lender.tid()) || raise_own_limit(lender);
}

bool BorrowedTable::close_one(StoppedThread& lender) {
  const int spare = spare_descriptor(lender.tid());
  if (spare < 0) return false;
  const auto closed = lender.call(abi_, RemoteCall::kClose, {static_cast<std::uint64_t>(spare)});
  return closed.ok();
}

bool BorrowedTable::raise_own_limit(StoppedThread& lender) {
  const auto limit = TaskLimit::read(lender.tid(), "Max open files");
  // With any room at all, a descriptor that is closed makes enough of it.
  if (!limit || limit->soft != 0 || limit->hard == 0) return false;
  // The call takes its argument from memory, and mapping some might be refused, to a process that
  // locks its memory say.
  rlimit64 wanted{limit->hard, limit->hard};
  rlimit64 kept{};
  const std::uint64_t address = lender.registers().below_stack(sizeof(wanted));
  if (!transfer(lender.tid(), ::process_vm_readv, kept, address)) return false;
  if (!transfer(lender.tid(), ::process_vm_writev, wanted, address)) return false;
  const auto raised = lender.call(abi_, RemoteCall::kPrlimit64, {0, RLIMIT_NOFILE, address, 0});
  (void)transfer(lender.tid(), ::process_vm_writev, kept, address);
  return raised && *raised == 0;
}

}  // namespace shmvisor
