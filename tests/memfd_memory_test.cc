#include "supervisor/memory/memfd_memory.h"

#include "tests/memfd_memory_fixture.h"

namespace shmvisor {
namespace {

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

TEST_F(MemfdMemoryTest, TheNameIsTheKernels) {
  const auto memory = make(1, "SYSV1234abcd");
  const UniqueFd fd = open(*memory, kAnyAccess);
  EXPECT_EQ(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get())),
            memory->name());
  EXPECT_EQ(memory->name(), "/memfd:SYSV1234abcd (deleted)");
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

}  // namespace
}  // namespace shmvisor
