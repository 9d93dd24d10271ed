#include "supervisor/procfiles/covering_process.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <new>
#include <span>
#include <utility>

#include "supervisor/kernel/shared_object.h"
#include "supervisor/procfiles/mount_identity.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} * 1024;
constexpr const char* kType = "fuse";
constexpr const char* kSource = "shmvisor";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSharedMemory = 0;  // the sanitizers' runtimes know nothing of such a process
#else
constexpr int kSharedMemory = CLONE_VM;
#endif

/// Numbers of the descriptors that the child keeps. It has no others.
struct Kept {
  int user = -1;
  int mounts = -1;
  int ipc = -1;
  int own_proc = -1;
};

/// The child does not outlive the thread that made it, whose memory it shares.
void end_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Who ended before.
  if (::getppid() != parent) ::syscall(SYS_exit_group, ECANCELED);
}

bool enter_namespace(int name_space, int kind) { return ::setns(name_space, kind) == 0; }

/// A walk in the cache ends with EAGAIN where anybody mounts, unmounts or renames anything at that
/// moment, as strangers do in a loop. So it is repeated, at last with pauses: 40 ms in all.
constexpr int kMostWalks = 200;
constexpr int kWalksWithoutPause = 160;

int open_resolved(int folder, const char* path, std::uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW;
  how.resolve = resolve | RESOLVE_NO_SYMLINKS;
  for (int walk = 1;; ++walk) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof(how)));
    if (fd >= 0 || errno != EAGAIN || walk == kMostWalks) return fd;
    if (walk > kWalksWithoutPause) ::usleep(1000);
  }
}

/// Closes all but these and standard error's number. The places get the lowest numbers.
void keep_only(Kept& places) {
  // Out of the way of the numbers that they will have.
  std::array<int*, 4> kept{&places.user, &places.mounts, &places.ipc, &places.own_proc};
  for (int* fd : kept) {
    if (*fd >= 0) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, 16);
  }
  int number = 0;
  for (int* fd : kept) {
    if (*fd >= 0) *fd = ::dup3(*fd, number, O_CLOEXEC);
    ++number;
  }
  ::syscall(SYS_close_range, static_cast<unsigned>(number), ~0U, 0U);
}

/// Our files, or what is in their place: all but the table.
class Files {
 public:
  Files(int folder, const MountIdentity& identity) {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (kProcFiles[i].file == ProcFile::kTable) continue;
      files_[i].reset(::openat(folder, kProcFiles[i].name, O_PATH | O_CLOEXEC | O_NOFOLLOW));
      if (files_[i].valid()) mounts_[i] = identity.mount_of(files_[i].get());
    }
  }
  [[nodiscard]] const UniqueFd& file(std::size_t place) const { return files_[place]; }
  /// -1 where there is none, or it is not known.
  [[nodiscard]] long mount(std::size_t place) const { return mounts_[place]; }
  static constexpr std::size_t kCount = kProcFiles.size();

 private:
  std::array<UniqueFd, kCount> files_;
  std::array<long, kCount> mounts_ = [] {
    std::array<long, kCount> none{};
    none.fill(-1);
    return none;
  }();
};

/// What one pass through the mounts tells: there may be thousands.
struct Survey {
  static constexpr std::size_t kOfFiles = CoveringProcess::kMostCovers;  ///< behind the covers
  std::array<long, kOfFiles + 2 * Files::kCount> mounts{};
  std::array<bool, kOfFiles + 2 * Files::kCount> is_ours{};
  std::optional<std::size_t> ours;  ///< nothing: it cannot be told

  Survey(const MountIdentity& identity, std::span<const long> covers, const Files& shown,
         const Files& there) {
    mounts.fill(-1);
    std::ranges::copy(covers, mounts.begin());
    for (std::size_t i = 0; i < Files::kCount; ++i) {
      mounts[kOfFiles + i] = shown.mount(i);
      mounts[kOfFiles + Files::kCount + i] = there.mount(i);
    }
    ours = identity.count(kType, kSource, mounts, is_ours);
  }
  [[nodiscard]] bool is_shown(std::size_t place) const { return is_ours[kOfFiles + place]; }
  [[nodiscard]] bool is_there(std::size_t place) const {
    return is_ours[kOfFiles + Files::kCount + place];
  }
};

/// Whether there may be one more cover. Tells which of the user's are there.
bool may_add(const Survey& survey, std::size_t covers, const CoverShares::Bounds& bounds,
             CoveringProcess::Report& report) {
  const std::span<bool> found(report.found.data(), covers);
  if (!survey.ours) {
    std::ranges::fill(found, true);
    return false;
  }
  std::copy_n(survey.is_ours.begin(), covers, found.begin());
  const auto alive = static_cast<std::size_t>(std::ranges::count(found, true));
  return bounds.may_add(alive, *survey.ours / CoveringProcess::kMostMounts);
}

/// In the child: hardly more than system calls. An errno, or 0.
int cover_in(Kept places, pid_t parent, std::span<const long> covers,
             const CoverShares::Bounds& bounds, CoveringProcess::Report& report) {
  keep_only(places);
  if (places.user >= 0) {
    if (!enter_namespace(places.user, CLONE_NEWUSER)) return errno;
    end_with_parent(parent);  // the kernel forgets it with new credentials
  }
  if (!enter_namespace(places.mounts, CLONE_NEWNS)) return errno;
  const UniqueFd proc(open_resolved(AT_FDCWD, "/proc", RESOLVE_CACHED));
  if (!proc.valid()) return errno;
  const MountIdentity identity(places.own_proc);
  if (!identity.is_of(proc.get(), "proc", nullptr)) return ENOENT;  // another file system's
  const UniqueFd folder(open_resolved(proc.get(), "sys/kernel", RESOLVE_NO_XDEV | RESOLVE_BENEATH));
  if (!folder.valid()) return errno;
  // Found by what this process sees, mounted by what the thread sees.
  const Files shown(folder.get(), identity);
  if (!enter_namespace(places.ipc, CLONE_NEWIPC)) return errno;
  const Files there(folder.get(), identity);
  const Survey survey(identity, covers, shown, there);
  const long own_mount = identity.mount_of(folder.get());
  int error = 0;
  bool asked = false;
  for (std::size_t i = 0; i < Files::kCount; ++i) {
    // Another /proc may be mounted there.
    if (!shown.file(i).valid() || !survey.is_shown(i) || !there.file(i).valid()) continue;
    if (own_mount < 0 || there.mount(i) != own_mount) {
      // Of a namespace that is covered already, or another's.
      if (survey.is_there(i)) ++report.covered;
      continue;
    }
    if (!std::exchange(asked, true) && !may_add(survey, covers.size(), bounds, report)) {
      report.refused = true;
      return ENOSPC;
    }
    // Whoever closes a copy that is mounted nowhere waits for all CPUs
    // (synchronize_rcu_expedited()).
    const UniqueFd file(::open_tree(shown.file(i).get(), "",
                                    OPEN_TREE_CLONE | AT_EMPTY_PATH | unsigned{OPEN_TREE_CLOEXEC}));
    if (!file.valid() || ::move_mount(file.get(), "", there.file(i).get(), "",
                                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      error = errno;
    } else {
      ++report.covered;
      report.made[report.made_count++] = identity.mount_of(file.get());
    }
  }
  return error;
}

}  // namespace

/// Of both processes, also where the child has a copy of our memory.
struct CoveringProcess::Shared {
  Report report = {};
  const pid_t parent = ::getpid();
  pid_t pid = 0;     ///< of the child, from its beginning until it is reaped
  int given_up = 0;  ///< 1: a child that begins now ends at once
  alignas(16) std::array<std::byte, kStackBytes> stack;
};

std::shared_ptr<CoveringProcess> CoveringProcess::make(Places places, CoverShares::Bounds bounds,
                                                       std::vector<long> covers,
                                                       const LosableThreads::Payer& payer) {
  auto* const shared = make_shared_object<Shared>();
  if (shared == nullptr) return nullptr;
  covers.resize(std::min(covers.size(), kMostCovers));
  auto* const made = new (std::nothrow)
      CoveringProcess(std::move(places), bounds, std::move(covers), payer, shared);
  if (made == nullptr) ::munmap(shared, sizeof(Shared));
  return std::shared_ptr<CoveringProcess>(made);
}

CoveringProcess::CoveringProcess(Places places, CoverShares::Bounds bounds,
                                 std::vector<long> covers, const LosableThreads::Payer& payer,
                                 Shared* shared)
    : places_(std::move(places)),
      bounds_(bounds),
      covers_(std::move(covers)),
      payer_(payer),
      shared_(shared) {}

CoveringProcess::~CoveringProcess() { ::munmap(shared_, sizeof(Shared)); }

const CoveringProcess::Report& CoveringProcess::report() const { return shared_->report; }

bool CoveringProcess::has_ended() {
  const MutexLock lock(mutex_);
  return is_over_;
}

void CoveringProcess::give_up() {
  // In this order: a child that is being made has its number already, or sees that.
  __atomic_store_n(&shared_->given_up, 1, __ATOMIC_SEQ_CST);
  const pid_t child = __atomic_load_n(&shared_->pid, __ATOMIC_SEQ_CST);
  if (child > 0) ::kill(child, SIGKILL);
}

bool CoveringProcess::is_given_up() const {
  return __atomic_load_n(&shared_->given_up, __ATOMIC_SEQ_CST) != 0;
}

/// In the child, with the thread-local storage of the thread that made it.
int CoveringProcess::enter(void* self) {
  auto* const process = static_cast<CoveringProcess*>(self);
  end_with_parent(process->shared_->parent);
  ::syscall(SYS_exit_group, process->is_given_up() ? ECANCELED : process->cover());
  return 0;
}

int CoveringProcess::cover() noexcept {
  return cover_in(
      {places_.user.get(), places_.mounts.get(), places_.ipc.get(), places_.own_proc.get()},
      shared_->parent, covers_, bounds_, shared_->report);
}

void CoveringProcess::run() noexcept {
  if (is_given_up()) {
    places_ = {};
    const MutexLock lock(mutex_);
    end(ECANCELED);
    return;
  }
  // No handler of ours is to run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const int memory = places_.user.valid() ? 0 : kSharedMemory;
  // Its number is there before it runs, for whoever kills it.
  const pid_t child =
      ::clone(&CoveringProcess::enter, shared_->stack.data() + shared_->stack.size(),
              memory | CLONE_VFORK | CLONE_PARENT_SETTID, this, &shared_->pid);
  int status = child < 0 ? errno << 8 : 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child > 0) {
    // It is gone, or about to be. Not reaped yet, its number is nobody else's.
    siginfo_t ended{};
    while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT | __WALL) < 0 &&
           errno == EINTR) {
    }
  }
  // Or they would keep namespaces alive that nobody else has.
  places_ = {};
  const MutexLock lock(mutex_);
  if (child > 0) {
    __atomic_store_n(&shared_->pid, 0, __ATOMIC_SEQ_CST);
    if (::waitpid(child, &status, WNOHANG | __WALL) != child) status = ECHILD << 8;
  }
  end(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
}

void CoveringProcess::end(int status) {
  status_ = status;
  is_over_ = true;
  if (is_given_up()) LosableThreads::all().come_back(payer_);
  ended_.notify_all();
}

std::optional<int> CoveringProcess::wait(std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const MutexLock lock(mutex_);
  while (!is_over_) {
    if (ended_.wait_until(mutex_, deadline) || is_over_) continue;
    LosableThreads::all().lose(payer_);
    give_up();
    return std::nullopt;
  }
  return status_;
}

}  // namespace shmvisor
