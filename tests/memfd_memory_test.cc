#include "supervisor/memory/memfd_memory.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "supervisor/memory/machine.h"
#include "supervisor/memory/memory_room.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = 4096;

class MemfdMemoryTest : public ::testing::Test {
 protected:
  MemfdMemoryTest() {
    spdlog::set_level(spdlog::level::off);
    // A sanitizer takes a look at the logger when it first sees it, and needs descriptors for that.
    spdlog::warn("seen");
  }

  std::unique_ptr<MemfdMemory> make(std::uint64_t pages = 4, const char* name = "SYSV000000ab") {
    BackingRequest request;
    request.name = name;
    request.size_bytes = pages * kPage;
    auto memory =
        MemfdMemory::create(request, request.size_bytes, MemoryCharges(), lock_keeper_, features_);
    EXPECT_TRUE(memory) << "errno " << (memory ? 0 : memory.error().value());
    return memory ? std::move(*memory) : nullptr;
  }
  static UniqueFd open(MemfdMemory& memory, const Access& access) {
    auto file = memory.open(access);
    EXPECT_TRUE(file);
    return file ? std::move(file->fd) : UniqueFd();
  }
  static char* map(int fd, std::uint64_t pages, int protection = PROT_READ | PROT_WRITE) {
    void* const address = ::mmap(nullptr, pages * kPage, protection, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? nullptr : static_cast<char*>(address);
  }
  static FileIdentity identity_of(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return {status.st_dev, status.st_ino};
  }
  static std::uint64_t status_kib(const std::string& field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1));
    }
    return 0;
  }

  /// Resident pages of our locked mappings of the file, in kB.
  static std::uint64_t locked_of(const FileIdentity& file) {
    std::ifstream smaps("/proc/self/smaps");
    std::uint64_t resident = 0;
    std::uint64_t sum = 0;
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
      unsigned long inode = 0;
      if (std::sscanf(line.c_str(), "%*x-%*x %*s %*x %*x:%*x %lu", &inode) == 1) {
        inside = inode == file.inode;
      } else if (inside && line.starts_with("Rss:")) {
        resident = std::stoull(line.substr(4));
      } else if (inside && line.starts_with("VmFlags:") && line.find(" lo") != std::string::npos) {
        sum += resident;
      }
    }
    return sum;
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  LockKeeper lock_keeper_{std::chrono::milliseconds(5)};
};

TEST_F(MemfdMemoryTest, EachDescriptionIsOfTheSameFile) {
  const auto memory = make();
  const UniqueFd writable = open(*memory, kAnyAccess);
  const UniqueFd read_only = open(*memory, kReadExecute);
  EXPECT_EQ(identity_of(writable.get()), memory->identity());
  EXPECT_EQ(identity_of(read_only.get()), memory->identity());
  EXPECT_EQ(::fcntl(writable.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(::fcntl(read_only.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(::fcntl(writable.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(memory->mapped_size_bytes(), 4 * kPage);
  EXPECT_FALSE(memory->is_huge());
  const auto other = make();
  EXPECT_NE(other->identity(), memory->identity());
}

// Where leases are forbidden (fs.leases-enable).
class WithoutLeasesTest : public MemfdMemoryTest {
 protected:
  WithoutLeasesTest() { features_.mark_absent(KernelFeature::kLeases); }
};

TEST_F(WithoutLeasesTest, InUseWhileADescriptionIsHeldOrMapped) {
  const auto memory = make();
  EXPECT_FALSE(memory->in_use());
  UniqueFd first = open(*memory, kAnyAccess);
  UniqueFd second = open(*memory, kReadExecute);
  EXPECT_TRUE(memory->in_use());
  first.reset();
  EXPECT_TRUE(memory->in_use()) << "a read-only one counts";
  char* const address = map(second.get(), 4, PROT_READ);
  second.reset();
  EXPECT_TRUE(memory->in_use()) << "the mapping keeps it";
  ::munmap(address + kPage, kPage);
  ::munmap(address, kPage);
  EXPECT_TRUE(memory->in_use()) << "a part of it does";
  ::munmap(address + 2 * kPage, 2 * kPage);
  EXPECT_FALSE(memory->in_use());
  open(*memory, kAnyAccess).reset();
  EXPECT_FALSE(memory->in_use());
}

TEST_F(WithoutLeasesTest, AForkKeepsIt) {
  const auto memory = make();
  char* const address = map(open(*memory, kAnyAccess).get(), 4);
  Gate ready;
  Child child([&] {
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  ::munmap(address, 4 * kPage);
  EXPECT_TRUE(memory->in_use());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_FALSE(memory->in_use());
}

// Who caught a descriptor.
TEST_F(WithoutLeasesTest, NobodyElsesLockKeepsOthersOut) {
  const auto memory = make();
  struct flock whole {};
  whole.l_type = F_WRLCK;
  {
    const UniqueFd caught = open(*memory, kAnyAccess);
    const UniqueFd again(::open(memory->path().c_str(), O_RDWR));
    EXPECT_EQ(::fcntl(caught.get(), F_OFD_SETLK, &whole), -1);
    EXPECT_EQ(::fcntl(again.get(), F_OFD_SETLK, &whole), -1);
    UniqueFd another = open(*memory, kReadExecute);
    EXPECT_TRUE(memory->in_use());
  }
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, WhatWasHandedOutBeforeLeasesWereForbiddenIsInUseStill) {
  const auto memory = make();
  UniqueFd before = open(*memory, kAnyAccess);
  features_.mark_absent(KernelFeature::kLeases);
  UniqueFd after = open(*memory, kAnyAccess);
  after.reset();
  EXPECT_TRUE(memory->in_use());
  before.reset();
  EXPECT_FALSE(memory->in_use()) << "leases are allowed in truth";
  after = open(*memory, kAnyAccess);
  EXPECT_TRUE(memory->in_use());
}

TEST_F(MemfdMemoryTest, TheNameIsTheKernels) {
  const auto memory = make(1, "SYSV1234abcd");
  const UniqueFd fd = open(*memory, kAnyAccess);
  EXPECT_EQ(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get())),
            memory->name());
  EXPECT_EQ(memory->name(), "/memfd:SYSV1234abcd (deleted)");
}

TEST_F(MemfdMemoryTest, InUseWhileADescriptionIsHeld) {
  const auto memory = make();
  EXPECT_FALSE(memory->in_use());
  UniqueFd first = open(*memory, kAnyAccess);
  EXPECT_TRUE(memory->in_use());
  UniqueFd second = open(*memory, kReadExecute);
  first.reset();
  EXPECT_TRUE(memory->in_use()) << "a read-only one counts";
  second.reset();
  EXPECT_FALSE(memory->in_use());
  EXPECT_FALSE(memory->in_use()) << "asking leaves no lease behind";
  open(*memory, kAnyAccess).reset();
  EXPECT_FALSE(memory->in_use());
}

// What somebody of our user can do who caught a descriptor while it was on its way.
TEST_F(MemfdMemoryTest, WhoTakesTheRightsAwayKeepsNobodyOut) {
  const auto memory = make();
  const UniqueFd caught = open(*memory, kReadExecute);
  // Root opens what it likes, but not as somebody else.
  const uid_t user = ::geteuid() == 0 ? 65534 : ::geteuid();
  ASSERT_EQ(::fchmod(caught.get(), 0), 0);
  Child child([&] {
    if (::geteuid() == 0 && (::fchown(caught.get(), user, user) != 0 ||
                             ::syscall(SYS_setresuid, user, user, user) != 0)) {
      return 1;
    }
    if (::open(memory->path().c_str(), O_RDWR) >= 0 || errno != EACCES) return 2;
    return memory->open(kAnyAccess).ok() ? 0 : 3;
  });
  const auto status = child.wait(0);
  ASSERT_TRUE(status);
  EXPECT_EQ(WEXITSTATUS(*status), 0);
}

TEST_F(MemfdMemoryTest, WhoMakesItImmutableKeepsNobodyOut) {
  const auto memory = make();
  const UniqueFd caught = open(*memory, kReadExecute);
  int flags = FS_IMMUTABLE_FL;
  if (::ioctl(caught.get(), FS_IOC_SETFLAGS, &flags) != 0) GTEST_SKIP() << "errno " << errno;
  EXPECT_TRUE(memory->open(kAnyAccess).ok());
}

TEST_F(MemfdMemoryTest, NobodyElseGetsALease) {
  const auto memory = make();
  for (const Access& access : {kReadExecute, kAnyAccess}) {
    const UniqueFd caught = open(*memory, access);
    EXPECT_EQ(::fcntl(caught.get(), F_SETLEASE, F_RDLCK), -1);
    EXPECT_EQ(::fcntl(caught.get(), F_SETLEASE, F_WRLCK), -1);
    EXPECT_EQ(::fcntl(caught.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  }
}

TEST_F(MemfdMemoryTest, WhoKeepsAPathToItKeepsNoMemory) {
  auto memory = make();
  UniqueFd held = open(*memory, kAnyAccess);
  const UniqueFd path(::open(("/proc/self/fd/" + std::to_string(held.get())).c_str(), O_PATH));
  ASSERT_EQ(::pwrite(held.get(), "x", 1, 0), 1);
  held.reset();
  EXPECT_FALSE(memory->in_use()) << "no lease sees it";
  const auto discard = memory->discarding();
  memory.reset();
  struct stat status {};
  ASSERT_EQ(::fstat(path.get(), &status), 0);
  EXPECT_NE(status.st_blocks, 0);
  discard();
  ASSERT_EQ(::fstat(path.get(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
}

// A signal of the lease would end us, or go on to the command.
TEST_F(MemfdMemoryTest, WhoBreaksTheLeaseCausesNoSignal) {
  const auto memory = make();
  std::atomic<bool> over = false;
  std::atomic<int> met = 0;
  std::thread opener([&] {
    while (!over) {
      const UniqueFd fd(::open(memory->path().c_str(), O_RDONLY | O_NONBLOCK));
      if (!fd.valid() && errno == EWOULDBLOCK) ++met;
    }
  });
  for (int asked = 0; asked < 200'000 && met < 3; ++asked) {
    open(*memory, kAnyAccess).reset();
    (void)memory->in_use();
  }
  over = true;
  opener.join();
  if (met == 0) GTEST_SKIP() << "the two never met";
}

// Who writes from memory that it holds back keeps the file's lock for as long.
TEST_F(MemfdMemoryTest, WhoNeverEndsAWriteKeepsNoLock) {
  const auto memory = make();
  const UniqueFd caught = open(*memory, kAnyAccess);
  const UniqueFd faults(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
  if (!faults.valid()) GTEST_SKIP() << "no userfaultfd";
  uffdio_api api{};
  api.api = UFFD_API;
  ASSERT_EQ(::ioctl(faults.get(), UFFDIO_API, &api), 0);
  char* const held_back = static_cast<char*>(
      ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  uffdio_register range{};
  range.range = {reinterpret_cast<std::uint64_t>(held_back), kPage};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(::ioctl(faults.get(), UFFDIO_REGISTER, &range), 0);
  std::thread writer([&] { (void)!::pwrite(caught.get(), held_back, kPage, 0); });
  ASSERT_TRUE(wait_readable(faults.get()));
  memory->lock(LockMode::kLazy);
  EXPECT_TRUE(memory->open(kAnyAccess).ok());
  EXPECT_TRUE(memory->in_use());
  memory->lock(LockMode::kNone);
  uffdio_zeropage zero{};
  zero.range = range.range;
  EXPECT_EQ(::ioctl(faults.get(), UFFDIO_ZEROPAGE, &zero), 0);
  writer.join();
  ::munmap(held_back, kPage);
}

TEST_F(MemfdMemoryTest, InUseWhileItIsMapped) {
  const auto memory = make();
  for (const auto access : {kAnyAccess, kReadExecute}) {
    UniqueFd fd = open(*memory, access);
    char* const address = map(fd.get(), 4, PROT_READ);
    ASSERT_NE(address, nullptr);
    fd.reset();
    EXPECT_TRUE(memory->in_use());
    ::munmap(address, 2 * kPage);
    EXPECT_TRUE(memory->in_use()) << "half of it is left";
    ::munmap(address + 2 * kPage, 2 * kPage);
    EXPECT_FALSE(memory->in_use());
  }
}

TEST_F(MemfdMemoryTest, InUseByAForkedChildUntilItDies) {
  const auto memory = make();
  UniqueFd fd = open(*memory, kAnyAccess);
  char* const address = map(fd.get(), 4);
  fd.reset();
  Child child([] { return ::pause(); });
  ::munmap(address, 4 * kPage);
  EXPECT_TRUE(memory->in_use());
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, AnotherSizeIsForbidden) {
  const auto memory = make();
  const UniqueFd fd = open(*memory, kAnyAccess);
  for (const std::uint64_t size : {std::uint64_t{0}, 3 * kPage, 5 * kPage}) {
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), -1);
    EXPECT_EQ(errno, EPERM);
  }
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM) << "nor are further seals allowed";
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE),
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

TEST_F(MemfdMemoryTest, ReadOnlyStaysReadOnly) {
  const auto memory = make();
  const UniqueFd fd = open(*memory, kReadExecute);
  char* const address = map(fd.get(), 4, PROT_READ);
  ASSERT_NE(address, nullptr);
  EXPECT_EQ(::mprotect(address, kPage, PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(map(fd.get(), 4), nullptr);
  ::munmap(address, 4 * kPage);
}

TEST_F(MemfdMemoryTest, NobodyElseReopensIt) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const auto memory = make();
  const UniqueFd fd = open(*memory, kReadExecute);
  struct stat status {};
  ASSERT_EQ(::fstat(fd.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  Child stranger([&] {
    const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
    if (::setgroups(0, nullptr) != 0 || ::setresgid(99, 99, 99) != 0 ||
        ::setresuid(99, 99, 99) != 0) {
      return 1;
    }
    ::prctl(PR_SET_DUMPABLE, 1);  // so that its own /proc/self/fd is not the obstacle
    return ::open(path.c_str(), O_RDWR) == -1 && errno == EACCES ? 0 : 2;
  });
  EXPECT_EQ(exit_status_of(stranger), 0);
}

TEST_F(MemfdMemoryTest, ItCanBeMappedExecutable) {
  for (const bool noexec_seal : {true, false}) {
    if (!noexec_seal) features_.mark_absent(KernelFeature::kNoexecSeal);
    const auto memory = make();
    const UniqueFd fd = open(*memory, kAnyAccess);
    char* const address = map(fd.get(), 1, PROT_READ | PROT_WRITE | PROT_EXEC);
    ASSERT_NE(address, nullptr) << "errno " << errno;
    ::munmap(address, kPage);
    EXPECT_EQ((::fcntl(fd.get(), F_GET_SEALS) & F_SEAL_EXEC) != 0,
              features_.usable(KernelFeature::kNoexecSeal));
  }
}

TEST_F(MemfdMemoryTest, ItIsZeroAndShared) {
  const auto memory = make();
  char* const one = map(open(*memory, kAnyAccess).get(), 4);
  char* const two = map(open(*memory, kReadExecute).get(), 4, PROT_READ);
  ASSERT_TRUE(one != nullptr && two != nullptr);
  for (std::uint64_t at = 0; at < 4 * kPage; ++at) ASSERT_EQ(two[at], 0);
  std::strcpy(one + kPage, "seen");
  EXPECT_STREQ(two + kPage, "seen");
  ::munmap(one, 4 * kPage);
  ::munmap(two, 4 * kPage);
}

TEST_F(MemfdMemoryTest, UsageCountsTouchedPages) {
  const auto memory = make(8);
  EXPECT_EQ(memory->usage().resident + memory->usage().swapped, 0U);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  address[0] = 1;
  address[5 * kPage] = 1;
  EXPECT_EQ(memory->usage().resident + memory->usage().swapped, 2U);
  ::munmap(address, 8 * kPage);
  EXPECT_EQ(memory->usage().resident + memory->usage().swapped, 2U) << "pages outlive mappings";
}

TEST_F(MemfdMemoryTest, CommittedEveryPageIsThere) {
  BackingRequest request;
  request.name = "SYSV00000000";
  request.size_bytes = 8 * kPage;
  request.commit = true;
  const auto memory =
      MemfdMemory::create(request, request.size_bytes, MemoryCharges(), lock_keeper_, features_);
  ASSERT_TRUE(memory);
  EXPECT_TRUE((*memory)->is_committed());
  EXPECT_EQ((*memory)->usage().resident + (*memory)->usage().swapped, 8U);
  EXPECT_FALSE(make()->is_committed());
  // More than there is: refused before anything was allocated.
  request.size_bytes = memory_room_bytes() / kPage * kPage + kPage;
  const auto refused =
      MemfdMemory::create(request, request.size_bytes, MemoryCharges(), lock_keeper_, features_);
  EXPECT_EQ(refused.error(), Errno(ENOMEM));
}

TEST_F(MemfdMemoryTest, PagesGoWithIt) {
  auto memory = make(8);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  address[0] = 'x';
  memory.reset();
  EXPECT_EQ(address[0], 'x') << "not while somebody maps them";
  ::munmap(address, 8 * kPage);
}

TEST_F(MemfdMemoryTest, LockedPagesAreLockedByUs) {
  const auto memory = make(8);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  address[3 * kPage] = 1;
  const std::uint64_t before = status_kib("VmLck");
  memory->lock(LockMode::kLazy);
  const std::uint64_t locked = status_kib("VmLck") - before;
  if (locked == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  EXPECT_EQ(locked, 32U);
  EXPECT_EQ(memory->usage().resident, 1U) << "nothing is allocated for it";
  EXPECT_TRUE(memory->in_use());
  memory->lock(LockMode::kLazy);
  EXPECT_EQ(status_kib("VmLck") - before, 32U) << "twice is once";
  memory->lock(LockMode::kNone);
  EXPECT_EQ(status_kib("VmLck"), before);
  memory->lock(LockMode::kNone);
  ::munmap(address, 8 * kPage);
}

// As the kernel never swaps a page of a locked segment, whenever it was touched.
TEST_F(MemfdMemoryTest, PagesThatComeLaterAreLockedToo) {
  const auto memory = make(8);
  char* const address = map(open(*memory, kAnyAccess).get(), 8);
  memory->lock(LockMode::kLazy);
  if (status_kib("VmLck") == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  const auto locked_kib = [&] { return locked_of(memory->identity()); };
  EXPECT_EQ(locked_kib(), 0U);
  for (const std::uint64_t pages : {3, 8}) {
    for (std::uint64_t page = 0; page < pages; ++page) address[page * kPage] = 'x';
    for (int looks = 0; looks < 5000 && locked_kib() != 4 * pages; ++looks) ::usleep(1000);
    EXPECT_EQ(locked_kib(), 4 * pages);
  }
  memory->lock(LockMode::kNone);
  EXPECT_EQ(locked_kib(), 0U);
  ::munmap(address, 8 * kPage);
}

TEST_F(MemfdMemoryTest, AnEagerLockBringsEveryPageIn) {
  const auto memory = make(8);
  const std::uint64_t before = status_kib("VmLck");
  memory->lock(LockMode::kEager);
  const std::uint64_t locked = status_kib("VmLck") - before;
  if (locked == 0) GTEST_SKIP() << "RLIMIT_MEMLOCK lets us lock nothing";
  EXPECT_EQ(locked, 32U);
  EXPECT_EQ(memory->usage().resident, 8U);
  memory->lock(LockMode::kNone);
  EXPECT_EQ(memory->usage().resident, 8U) << "what is there stays";
}

TEST_F(MemfdMemoryTest, ALockThatComesAfterTheEndBringsNothingBack) {
  const auto memory = make(8);
  const UniqueFd file = open(*memory, kAnyAccess);
  ASSERT_EQ(::pwrite(file.get(), "here", 4, 0), 4);
  const std::uint64_t before = status_kib("VmLck");
  const auto discard = memory->discarding();
  memory->lock(LockMode::kEager);
  discard();
  EXPECT_EQ(memory->usage().resident, 0U);
  EXPECT_EQ(status_kib("VmLck"), before);
}

// SHM_LOCK and IPC_RMID at the same time.
TEST_F(MemfdMemoryTest, WhicheverIsFirstLockOrEndNothingIsLeft) {
  const std::uint64_t before = status_kib("VmLck");
  for (int round = 0; round < 300; ++round) {
    const auto memory = make(256);
    open(*memory, kAnyAccess).reset();
    std::atomic<bool> go = false;
    std::thread locker([&] {
      while (!go) {
      }
      memory->lock(round % 2 == 0 ? LockMode::kEager : LockMode::kLazy);
    });
    go = true;
    if (round % 3 != 0) ::usleep(static_cast<useconds_t>(round));
    const auto discard = memory->discarding();
    if (discard) discard();
    locker.join();
    ASSERT_EQ(memory->usage().resident, 0U) << round;
    ASSERT_EQ(status_kib("VmLck"), before) << round;
  }
}

// Our own mapping for the lock is of our own description: nobody's attach.
TEST_F(MemfdMemoryTest, LockedIsNotInUse) {
  const auto memory = make();
  memory->lock(LockMode::kLazy);
  EXPECT_FALSE(memory->in_use());
}

TEST_F(MemfdMemoryTest, ALockEndsWithTheMemory) {
  const std::uint64_t before = status_kib("VmLck");
  auto memory = make();
  memory->lock(LockMode::kLazy);
  memory.reset();
  EXPECT_EQ(status_kib("VmLck"), before);
}

TEST_F(MemfdMemoryTest, OutOfDescriptorsIsEnospc) {
  Child child([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = kPage;
    const auto memory =
        MemfdMemory::create(request, kPage, MemoryCharges(), lock_keeper_, features_);
    return !memory && memory.error() == Errno(ENOSPC) ? 0 : 1;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

TEST_F(MemfdMemoryTest, NoDescriptorForAnAttachIsEnomem) {
  const auto memory = make();
  Child child([&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const auto file = memory->open(kAnyAccess);
    return !file && file.error() == Errno(ENOMEM) ? 0 : 1;
  });
  EXPECT_EQ(exit_status_of(child), 0);
}

TEST_F(MemfdMemoryTest, NoDescriptorIsLeftOver) {
  const auto count = [] {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto before = count();
  {
    const auto memory = make();
    EXPECT_EQ(count(), before + 1) << "the base, and nothing else";
    open(*memory, kAnyAccess).reset();
    EXPECT_FALSE(memory->in_use());
    EXPECT_EQ(count(), before + 1);
  }
  EXPECT_EQ(count(), before);
}

/// Huge pages, which most machines have support for and none of reserved.
class MemfdMemoryHugeTest : public MemfdMemoryTest {
 protected:
  void SetUp() override {
    MachineResources resources(features_);
    Machine machine(resources, scope_);
    const auto bytes = machine.huge_page_bytes(0);
    if (!bytes) GTEST_SKIP() << "this kernel has no huge pages: errno " << bytes.error().value();
    page_bytes_ = *bytes;
  }
  Result<std::unique_ptr<MemfdMemory>> make_huge(bool reserve) {
    BackingRequest request;
    request.name = "SYSV00000000";
    request.size_bytes = 1;
    request.huge = true;
    request.huge_page_bytes = page_bytes_;
    request.reserve = reserve;
    return MemfdMemory::create(request, page_bytes_, MemoryCharges(), lock_keeper_, features_);
  }
  static std::uint64_t free_pages() {
    std::ifstream meminfo("/proc/meminfo");
    std::uint64_t free = 0;
    std::uint64_t reserved = 0;
    for (std::string line; std::getline(meminfo, line);) {
      if (line.starts_with("HugePages_Free:")) free = std::stoull(line.substr(15));
      if (line.starts_with("HugePages_Rsvd:")) reserved = std::stoull(line.substr(15));
    }
    return free - reserved;
  }

  std::uint64_t page_bytes_ = 0;
};

TEST_F(MemfdMemoryHugeTest, WithoutReservationThereIsAlwaysOne) {
  const auto memory = make_huge(false);
  ASSERT_TRUE(memory) << "errno " << memory.error().value();
  EXPECT_TRUE((**memory).is_huge());
  EXPECT_EQ((**memory).mapped_size_bytes(), page_bytes_);
  EXPECT_FALSE((**memory).in_use());
  EXPECT_EQ((**memory).usage().resident, 0U);
  UniqueFd fd = open(**memory, kAnyAccess);
  EXPECT_TRUE((**memory).in_use());
  fd.reset();
  EXPECT_FALSE((**memory).in_use());
}

TEST_F(MemfdMemoryHugeTest, ReservedOnlyWhileThereAreSome) {
  const std::uint64_t before = free_pages();
  const auto memory = make_huge(true);
  if (before == 0) {
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error(), Errno(ENOMEM));
  } else {
    ASSERT_TRUE(memory);
    EXPECT_EQ(free_pages(), before - 1);
  }
}

}  // namespace
}  // namespace shmvisor
