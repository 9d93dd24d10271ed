// RemoteSpace, on children that wait in a call.
#include "supervisor/inject/remote_space.h"

#include <sys/resource.h>

#include <array>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>

#include "tests/foreign_tracer.h"
#include "tests/i386_call.h"
#include "tests/remote_space_fixture.h"

namespace shmvisor {
namespace {

TEST_F(RemoteSpaceTest, MapsAnywhere) {
  SupervisedChild child([&] {
    seen_->descriptors_before = count_descriptors();
    seen_->result = raw_call(SYS_shmat);
    pointer(seen_->result)[kPage] = 'x';
    seen_->descriptors_after = count_descriptors();
    raw_call(SYS_shmdt);
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(2);
  serve_map(child, *memory, whole(*memory));
  const seccomp_notif later = child.receive();
  EXPECT_GT(seen_->result, 0);
  EXPECT_EQ(seen_->descriptors_after, seen_->descriptors_before) << "no descriptor stays";
  EXPECT_TRUE(memory->in_use());
  const FileIdentity file = memory->identity();
  EXPECT_EQ(machine_.count_mappings({&file, 1}, 0)->of_files.front(), 1U);
  const UniqueFd look = std::move(open(*memory).fd);
  char byte = 0;
  EXPECT_EQ(::pread(look.get(), &byte, 1, kPage), 1);
  EXPECT_EQ(byte, 'x') << "what it wrote is there";
  EXPECT_TRUE(child.listener().respond(later.id, 0));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(RemoteSpaceTest, OnlyTheMappingKeepsTheDescription) {
  SupervisedChild child([&] {
    const long address = raw_call(SYS_shmat);
    raw_call(SYS_shmdt);
    ::munmap(pointer(address), kPage);
    raw_call(SYS_shmdt);
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  serve_map(child, *memory, whole(*memory));
  const seccomp_notif mapped = child.receive();
  EXPECT_TRUE(memory->in_use());
  EXPECT_TRUE(child.listener().respond(mapped.id, 0));
  const seccomp_notif unmapped = child.receive();
  EXPECT_FALSE(memory->in_use());
  EXPECT_TRUE(child.listener().respond(unmapped.id, 0));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

/// Where the child, which is blocked in a call, goes on: the last word of /proc/PID/syscall.
std::uint64_t place_in_code(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
  std::string word;
  std::string last;
  while (file >> word) last = word;
  return std::stoull(last, nullptr, 16);
}

// Code in place of the call's keeps the caller from mapping, and from closing, what it was lent. It
// holds the segment as an attach would, and for no longer.
TEST_F(RemoteSpaceTest, ADescriptorThatStaysIsNoMoreThanAnAttach) {
  if (!has_i386_calls()) GTEST_SKIP() << "this kernel has no i386 system calls";
  SupervisedChild child([&] {
    seen_->descriptors_before = count_descriptors();
    seen_->result = raw_call(SYS_shmat);
    seen_->descriptors_after = count_descriptors();
    raw_call(SYS_shmdt);
    ::execl("/bin/true", "true", nullptr);
    return 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  PendingCall call(child.listener(), child.receive());
  const std::string path = "/proc/" + std::to_string(child.pid()) + "/mem";
  const UniqueFd code(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const auto entry = static_cast<off_t>(place_in_code(child.pid()) - 2);
  constexpr std::array<std::uint8_t, 2> kAnotherAbi{0xcd, 0x80};  // int $0x80
  std::array<std::uint8_t, 2> before{};
  ASSERT_EQ(::pread(code.get(), before.data(), before.size(), entry), 2);
  {
    RemoteSpace space(call, expected_, features_, access_warnings_);
    // Once it waits to be lent the descriptor.
    std::thread other([&] {
      const seccomp_notif repeated = child.receive();
      EXPECT_EQ(::pwrite(code.get(), kAnotherAbi.data(), kAnotherAbi.size(), entry), 2);
      EXPECT_TRUE(expected_.claim(repeated));
    });
    const auto address = space.map(whole(*memory), open(*memory));
    other.join();
    EXPECT_EQ(as_result(address), -EACCES);
    ASSERT_EQ(::pwrite(code.get(), before.data(), before.size(), entry), 2);
    EXPECT_TRUE(call.answer(as_result(address)));
  }
  const seccomp_notif later = child.receive();
  EXPECT_EQ(seen_->result, -EACCES);
  EXPECT_EQ(seen_->descriptors_after, seen_->descriptors_before + 1);
  EXPECT_TRUE(memory->in_use()) << "as an attach would keep it";
  const FileIdentity file = memory->identity();
  EXPECT_EQ(machine_.count_mappings({&file, 1}, 0)->of_files.front(), 0U);
  EXPECT_TRUE(child.listener().respond(later.id, 0));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use()) << "it ends with the program";
}

TEST_F(RemoteSpaceTest, ReadOnlyCannotBecomeWritable) {
  SupervisedChild child([&] {
    const long address = raw_call(SYS_shmat);
    if (::mprotect(pointer(address), kPage, PROT_READ | PROT_WRITE) != -1) return 1;
    return errno == EACCES ? pointer(address)[0] : 2;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  serve_map(child, *memory, whole(*memory, kReadOnly), kReadExecute);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// The kernel's errno for each way in which an exact address cannot be had.
TEST_F(RemoteSpaceTest, ExactAddresses) {
  // A field whose two pages in the middle the child will have free.
  auto* const spot =
      static_cast<char*>(::mmap(nullptr, 4 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(spot, MAP_FAILED);
  const auto place = reinterpret_cast<std::uintptr_t>(spot);
  constexpr std::uint64_t kLastPage = 0x7fff'ffff'e000;  // TASK_SIZE - PAGE_SIZE
  const std::array<std::pair<std::uint64_t, std::int64_t>, 5> cases{{
      {place + kPage, static_cast<std::int64_t>(place + kPage)},
      {place + kPage, -EINVAL},          // taken by the one before
      {place, -EINVAL},                  // half taken
      {kLastPage, -ENOMEM},              // beyond the end
      {0xffff'8000'0000'0000, -ENOMEM},  // the kernel's half
  }};
  SupervisedChild child([&] {
    ::munmap(spot + kPage, 2 * kPage);
    for (std::size_t at = 0; at < cases.size(); ++at) {
      if (raw_call(SYS_shmat) != cases[at].second) return static_cast<int>(at) + 1;
    }
    return 0;
  });
  ::munmap(spot, 4 * kPage);
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(2);
  for (const auto& [address, expected] : cases) {
    serve_map(child, *memory,
              {address, memory->mapped_size_bytes(), Placement::kExact, kReadWrite});
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use());
}

TEST_F(RemoteSpaceTest, ReplacingTakesThePlace) {
  auto* const spot = static_cast<char*>(
      ::mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(spot, MAP_FAILED);
  spot[0] = spot[kPage] = spot[2 * kPage] = 'o';
  SupervisedChild child([&] {
    const long address = raw_call(SYS_shmat);
    if (pointer(address) != spot + kPage) return 1;
    return spot[0] == 'o' && spot[kPage] == 0 && spot[2 * kPage] == 'o' ? 0 : 2;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  serve_map(
      child, *memory,
      {reinterpret_cast<std::uintptr_t>(spot + kPage), kPage, Placement::kReplacing, kReadWrite});
  EXPECT_EQ(exit_status_of(child.child()), 0);
  ::munmap(spot, 3 * kPage);
}

// The second page alone, all of it there and locked before the child touches it.
TEST_F(RemoteSpaceTest, OffsetsPopulationAndLocks) {
  SupervisedChild child([&] {
    for (int turn = 0; turn < 3; ++turn) {
      const long address = raw_call(SYS_shmat);
      if (address < 0) return 1;
      unsigned char resident = 0;
      if (::mincore(pointer(address), kPage, &resident) != 0) return 2;
      const auto limits = own_area_limits(static_cast<std::uint64_t>(address));
      if (!limits) return 3;
      seen_->resident.at(static_cast<std::size_t>(turn)) = resident & 1;
      seen_->limits.at(static_cast<std::size_t>(turn)) = *limits;
      if (::munmap(pointer(address), kPage) != 0) return 4;
    }
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  for (int turn = 0; turn < 3; ++turn) {
    const auto memory = make(2);
    MapRequest request = whole(*memory);
    request.length_bytes = kPage;
    request.offset_bytes = kPage;
    request.populate = turn == 0;
    request.lock = std::array{LockMode::kNone, LockMode::kEager, LockMode::kLazy}.at(
        static_cast<std::size_t>(turn));
    serve_map(child, *memory, request);
    if (turn == 2) {
      EXPECT_EQ(exit_status_of(child.child()), 0);
    } else {
      ASSERT_TRUE(wait_readable(child.listener().fd()));
    }
    EXPECT_EQ(memory->usage().resident, turn == 2 ? 0U : 1U);
    EXPECT_EQ(seen_->limits.at(static_cast<std::size_t>(turn)),
              (AreaLimits{kAnyAccess, request.lock}))
        << turn;
    EXPECT_EQ(seen_->resident.at(static_cast<std::size_t>(turn)), turn == 2 ? 0 : 1) << turn;
  }
}

TEST_F(RemoteSpaceTest, TheCallersOwnLimitsHold) {
  SupervisedChild child([&] {
    const rlimit little{1, 1};
    ::setrlimit(RLIMIT_AS, &little);
    return raw_call(SYS_shmat) == -ENOMEM ? 0 : 1;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  serve_map(child, *memory, whole(*memory));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(RemoteSpaceTest, LooksAndUnmaps) {
  SupervisedChild child([&] {
    const long address = raw_call(SYS_shmat);
    ::munmap(pointer(address) + kPage, kPage);
    seen_->result = address;
    const long detached = raw_call(SYS_shmdt);
    for (const std::uint64_t page : {0, 2}) {
      unsigned char residency = 0;
      if (::mincore(pointer(address) + page * kPage, kPage, &residency) != -1) return 1;
    }
    return detached == 3 ? 0 : 2;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(3);
  serve_map(child, *memory, whole(*memory));
  EXPECT_TRUE(serve(child, [&](RemoteSpace& space) {
    const auto start = static_cast<std::uint64_t>(seen_->result);
    const auto first = space.area_above(start);
    EXPECT_TRUE(first && *first);
    EXPECT_EQ((*first)->range, (AddressRange{start, kPage}));
    EXPECT_EQ((*first)->file, memory->identity());
    EXPECT_TRUE(space.unmap((*first)->range));
    // The look goes on while the caller is held.
    const auto second = space.area_above((*first)->range.end());
    EXPECT_TRUE(second && *second);
    EXPECT_EQ((*second)->range, (AddressRange{start + 2 * kPage, kPage}));
    EXPECT_EQ((*second)->file_offset_bytes, 2 * kPage);
    EXPECT_TRUE(space.unmap((*second)->range));
    const auto bad = space.unmap({1, kPage});
    EXPECT_EQ(bad.error(), Errno(EINVAL)) << "munmap's own errno";
    return 3;
  }));
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(memory->in_use());
}

TEST_F(RemoteSpaceTest, ACallerThatIsTracedByAnother) {
  SupervisedChild child([] { return raw_call(SYS_shmat) == -EACCES ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  ForeignTracer tracer(child.pid());
  ASSERT_TRUE(tracer.traces());
  const auto memory = make(1);
  serve_map(child, *memory, whole(*memory));
  EXPECT_FALSE(memory->in_use());
  EXPECT_EQ(tracer.end(), 0);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(RemoteSpaceTest, ACallerThatHasDied) {
  SupervisedChild child([] { return static_cast<int>(raw_call(SYS_shmat)); });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  EXPECT_FALSE(serve(child, [&](RemoteSpace& space) {
    ::kill(child.pid(), SIGKILL);
    EXPECT_TRUE(child.child().wait(0));
    const std::int64_t result = as_result(space.map(whole(*memory), open(*memory)));
    EXPECT_EQ(result, -ESRCH);
    EXPECT_FALSE(space.unmap({0x1000, kPage}));
    EXPECT_FALSE(space.area_above(0));
    return result;
  }));
  EXPECT_FALSE(memory->in_use());
}

// Whatever refuses the descriptor, the caller gets its answer and nobody waits for ever.
TEST_F(RemoteSpaceTest, ADescriptorThatCannotBeGiven) {
  SupervisedChild child([] { return raw_call(SYS_shmat) == -ENOMEM ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  ::alarm(30);
  EXPECT_TRUE(serve(child, [&](RemoteSpace& space) {
    return as_result(space.map(whole(*memory), BackingFile{}));
  }));
  ::alarm(0);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// A number in the caller's table that we cannot look at may be anybody's by now.
TEST_F(RemoteSpaceTest, WhatCannotBeIdentifiedIsNeitherMappedNorClosed) {
  SupervisedChild child([&] {
    seen_->descriptors_before = count_descriptors();
    seen_->result = raw_call(SYS_shmat);
    seen_->descriptors_after = count_descriptors();
    return 0;
  });
  ASSERT_EQ(child.trouble(), "");
  const auto memory = make(1);
  PendingCall call(child.listener(), child.receive());
  {
    RemoteSpace space(call, expected_, features_, access_warnings_);
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    // Once it waits to be lent the descriptor.
    std::thread other([&] {
      const seccomp_notif repeated = child.receive();
      const rlimit none{0, usual.rlim_max};
      EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
      EXPECT_TRUE(expected_.claim(repeated));
    });
    const auto address = space.map(whole(*memory), open(*memory));
    other.join();
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
    EXPECT_TRUE(call.answer(as_result(address)));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_EQ(seen_->result, -ENOMEM);
  EXPECT_EQ(seen_->descriptors_after, seen_->descriptors_before + 1);
  EXPECT_FALSE(memory->in_use());
}

}  // namespace
}  // namespace shmvisor
