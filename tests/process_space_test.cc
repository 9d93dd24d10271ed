// ProcessSpace, on children that are in no call of ours; and RemoteSpace's invalidation on one that
// is.
#include "supervisor/inject/process_space.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include "emulation/shm/segment.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/remote_space.h"
#include "supervisor/memory/machine.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/expected_receiver.h"
#include "tests/foreign_tracer.h"
#include "tests/marked_segment.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPages = 4;

struct Shared {
  std::atomic<bool> go{false};
  std::atomic<std::uint64_t> spins{0};
  std::atomic<bool> second_runs{false};
  std::atomic<int> handled{0};
  AreaLimits limits;
};

SharedPage<Shared>* g_shared = nullptr;

/// What a child does until it is told to look at its memory; 0 where that ended as it should.
struct Pastime {
  const char* name;
  int (*pass)(int pipe);
};

int spin(int) {
  std::uint64_t turns = 0;  // what its registers hold must not be lost
  while (!(*g_shared)->go) {
    ++turns;
    (*g_shared)->spins = turns;
  }
  return (*g_shared)->spins == turns ? 0 : 1;
}

int read_pipe(int pipe) {
  char byte = 0;
  return ::read(pipe, &byte, 1) == 1 ? 0 : 1;
}

int poll_with_timeout(int pipe) {
  pollfd waiting{pipe, POLLIN, 0};
  return ::poll(&waiting, 1, 60'000) == 1 ? read_pipe(pipe) : 1;
}

int sleep_long(int pipe) {
  timespec little{0, 50'000'000};
  timespec rest{};
  while (!(*g_shared)->go) {
    if (::nanosleep(&little, &rest) != 0) return 1;  // EINTR is not to be seen
  }
  return read_pipe(pipe);
}

int suspend(int pipe) {
  // The signal is blocked but for the wait: its mask must survive.
  struct sigaction action {};
  action.sa_handler = [](int) { ++(*g_shared)->handled; };
  ::sigaction(SIGUSR1, &action, nullptr);
  sigset_t all_but;
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  ::sigfillset(&all_but);
  ::sigdelset(&all_but, SIGUSR1);
  (*g_shared)->second_runs = true;
  if (::sigsuspend(&all_but) != -1 || errno != EINTR) return 1;
  if ((*g_shared)->handled != 1) return 2;
  sigset_t now;
  ::sigprocmask(SIG_BLOCK, nullptr, &now);
  return ::sigismember(&now, SIGUSR1) == 1 ? read_pipe(pipe) : 3;
}

constexpr std::array kPastimes = {Pastime{"Spinning", spin}, Pastime{"Reading", read_pipe},
                                  Pastime{"Polling", poll_with_timeout},
                                  Pastime{"Sleeping", sleep_long}, Pastime{"Suspended", suspend}};

class ProcessSpaceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    KickTimer::install_handler(nullptr);
    KickTimer::allow_on_this_thread();
    spdlog::set_level(spdlog::level::off);
  }

  ProcessSpaceTest() : resources_(features_), machine_(resources_, scope_) {
    g_shared = &shared_;
    old_ = marked_segment(machine_, kPages, 'o');
    fresh_ = marked_segment(machine_, kPages, 'n');
    if (::pipe2(pipe_, O_CLOEXEC) != 0) ADD_FAILURE() << "no pipe";
  }
  ~ProcessSpaceTest() override {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }

  static char first_byte(Segment& segment) {
    std::byte byte{};
    EXPECT_TRUE(segment.memory().read_at(0, std::span(&byte, 1)));
    return static_cast<char>(byte);
  }
  /// As a child maps it that attached it.
  char* map(const Access& maximum = kAnyAccess) {
    auto file = old_->memory().open(maximum);
    EXPECT_TRUE(file);
    const int protection = PROT_READ | (maximum.write ? PROT_WRITE : 0);
    void* const address =
        ::mmap(nullptr, kPages * kPage, protection, MAP_SHARED, file->fd.get(), 0);
    EXPECT_NE(address, MAP_FAILED);
    return static_cast<char*>(address);
  }
  /// Maps it here for the next child alone; forget() ends that here.
  char* map_for_child(const Access& maximum = kAnyAccess) { return field_ = map(maximum); }
  void forget() { ::munmap(field_, kPages * kPage); }

  static bool is_mapped(const char* address) {
    unsigned char residency = 0;
    return ::mincore(const_cast<char*>(address), kPage, &residency) == 0;
  }
  Invalidation stale(Mappable* replacement = nullptr) {
    return {old_->identity().file, {0, old_->length_bytes()}, replacement};
  }
  Result<std::uint64_t> invalidate(SupervisedChild& child, const Invalidation& what) {
    const ExpectedReceiver receiver(child.listener(), expected_);
    return invalidate_in_process(child.pid(), what, {child.listener(), expected_, features_});
  }
  /// Waits until the child is blocked, or runs on where it never blocks.
  static void await_state(pid_t pid, char state) {
    for (int looks = 0; looks < 5000; ++looks) {
      const auto stat = ProcessStat::read(pid);
      if (!stat || stat->state == state) return;
      ::usleep(1000);
    }
    ADD_FAILURE() << "never in state " << state;
  }
  void let_child_look() {
    shared_->go = true;
    if (::write(pipe_[1], "x", 1) != 1) ADD_FAILURE() << "the pipe is closed";
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  MachineResources resources_;
  Machine machine_;
  ExpectedCalls expected_{[] {}};
  AccessWarnings access_warnings_;
  SharedPage<Shared> shared_;
  std::shared_ptr<Segment> old_;
  std::shared_ptr<Segment> fresh_;
  int pipe_[2] = {-1, -1};
  char* field_ = nullptr;
};

class WhateverItDoesTest : public ProcessSpaceTest, public ::testing::WithParamInterface<Pastime> {
 protected:
  void await_pastime(SupervisedChild& child) {
    if (GetParam().pass == spin) {
      const std::uint64_t before = shared_->spins;
      for (int looks = 0; looks < 5000 && shared_->spins == before; ++looks) ::usleep(1000);
    } else {
      await_state(child.pid(), 'S');
    }
    if (GetParam().pass == suspend) {
      for (int looks = 0; looks < 5000 && !shared_->second_runs; ++looks) ::usleep(1000);
      await_state(child.pid(), 'S');
    }
  }
  void end_pastime(SupervisedChild& child) {
    if (GetParam().pass == suspend) ::kill(child.pid(), SIGUSR1);
    let_child_look();
  }
};

TEST_P(WhateverItDoesTest, ItsMappingsGo) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    if (GetParam().pass(pipe_[0]) != 0) return 1;
    return is_mapped(address) ? 2 : 0;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  await_pastime(child);
  EXPECT_TRUE(old_->memory().in_use());
  const auto changed = invalidate(child, stale());
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_EQ(*changed, 1U);
  EXPECT_FALSE(old_->memory().in_use());
  end_pastime(child);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_P(WhateverItDoesTest, ItSeesTheReplacement) {
  char* const address = map_for_child();
  SupervisedChild child([&] {
    if (GetParam().pass(pipe_[0]) != 0) return 1;
    for (std::uint64_t page = 0; page < kPages; ++page) {
      if (address[page * kPage] != 'n') return 2;
    }
    address[0] = 'w';
    return 0;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  await_pastime(child);
  const auto changed = invalidate(child, stale(fresh_.get()));
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_EQ(*changed, 1U);
  EXPECT_FALSE(old_->memory().in_use());
  EXPECT_TRUE(fresh_->memory().in_use());
  end_pastime(child);
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_EQ(first_byte(*fresh_), 'w');
  EXPECT_EQ(first_byte(*old_), 'o');
  EXPECT_FALSE(fresh_->memory().in_use()) << "no descriptor stayed";
}

INSTANTIATE_TEST_SUITE_P(Doing, WhateverItDoesTest, ::testing::ValuesIn(kPastimes),
                         [](const auto& tested) { return tested.param.name; });

TEST_F(ProcessSpaceTest, EachMappingKeepsItsRightsAndItsLock) {
  char* const writable = map_for_child();
  ASSERT_EQ(::mprotect(writable + kPage, kPage, PROT_READ), 0);
  char* const read_only = map(kReadExecute);
  SupervisedChild child([&] {
    if (::mlock2(writable + 3 * kPage, kPage, MLOCK_ONFAULT) != 0) return 10;
    (*g_shared)->second_runs = true;
    if (read_pipe(pipe_[0]) != 0) return 1;
    if (read_only[0] != 'n' || writable[kPage] != 'n') return 2;
    if (::mprotect(read_only, kPage, PROT_READ | PROT_WRITE) != -1 || errno != EACCES) return 3;
    if (::mprotect(writable + kPage, kPage, PROT_READ | PROT_WRITE) != 0) return 4;
    writable[kPage] = 'w';
    const auto at = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(writable));
    const auto limits = area_limits(
        getpid(),
        {{at + 3 * kPage, kPage}, 3 * kPage, fresh_->identity().file, {true, true, false}});
    if (!limits) return 5;
    (*g_shared)->limits = *limits;
    return 0;
  });
  forget();
  ::munmap(read_only, kPages * kPage);
  ASSERT_EQ(child.trouble(), "");
  for (int looks = 0; looks < 5000 && !shared_->second_runs; ++looks) ::usleep(1000);
  const auto changed = invalidate(child, stale(fresh_.get()));
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_EQ(*changed, 5U) << "page 0, page 1, page 2, page 3 and the read-only one";
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_EQ(shared_->limits, (AreaLimits{kAnyAccess, LockMode::kLazy}));
}

TEST_F(ProcessSpaceTest, APartIsEnough) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    if (read_pipe(pipe_[0]) != 0) return 1;
    return address[0] == 'o' && !is_mapped(address + kPage) && address[2 * kPage] == 'o' ? 0 : 2;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  Invalidation what = stale();
  what.offsets = {kPage, kPage};
  const auto changed = invalidate(child, what);
  ASSERT_TRUE(changed);
  EXPECT_EQ(*changed, 1U);
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// Stopped by a shell, it stays stopped, and sees the change when it is continued.
TEST_F(ProcessSpaceTest, AStoppedProcessStaysStopped) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    ::raise(SIGSTOP);
    return is_mapped(address) ? 1 : 0;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  await_state(child.pid(), 'T');
  const auto changed = invalidate(child, stale());
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_FALSE(old_->memory().in_use());
  await_state(child.pid(), 'T');
  ::kill(child.pid(), SIGCONT);
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// One thread waits for the answer to its call, and cannot be stopped; another does it.
TEST_F(ProcessSpaceTest, AThreadThatDoesNotStopIsPassedOver) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    std::thread second([] { spin(0); });
    const long answer = raw_call(SYS_shmdt, 7);
    second.join();
    return answer == 5 && !is_mapped(address) ? 0 : 1;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  const seccomp_notif waiting = child.receive();
  for (int looks = 0; looks < 5000 && shared_->spins == 0; ++looks) ::usleep(1000);
  const auto changed = invalidate(child, stale());
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_FALSE(old_->memory().in_use());
  EXPECT_TRUE(child.listener().respond(waiting.id, 5)) << "the call was not disturbed";
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// The only thread is in a call that is being served meanwhile, and that wants to trace it too.
TEST_F(ProcessSpaceTest, ACallThatIsServedMeanwhileGoesOn) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    if (raw_call(SYS_shmdt, 7) != 3 || read_pipe(pipe_[0]) != 0) return 1;
    return is_mapped(address) ? 2 : 0;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  PendingCall call(child.listener(), child.receive());
  Result<std::uint64_t> changed = Errno(ENOSYS);
  std::thread invalidating([&] {
    changed = invalidate_in_process(child.pid(), stale(), {child.listener(), expected_, features_});
  });
  {
    RemoteSpace space(call, expected_, features_, access_warnings_);
    const auto unmapped = space.unmap({0x10000, kPage});
    EXPECT_TRUE(unmapped) << "errno " << unmapped.error().value();
    EXPECT_TRUE(call.answer(3));
  }
  invalidating.join();
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  EXPECT_EQ(*changed, 1U);
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(ProcessSpaceTest, AFullDescriptorTableIsNoObstacle) {
  const char* const address = map_for_child();
  SupervisedChild child([&] {
    const rlimit limit{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    while (::dup(0) >= 0) {
    }
    (*g_shared)->second_runs = true;
    if (read_pipe(pipe_[0]) != 0) return 1;
    return address[0] == 'n' ? 0 : 2;
  });
  forget();
  ASSERT_EQ(child.trouble(), "");
  for (int looks = 0; looks < 5000 && !shared_->second_runs; ++looks) ::usleep(1000);
  const auto changed = invalidate(child, stale(fresh_.get()));
  ASSERT_TRUE(changed) << "errno " << changed.error().value();
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(ProcessSpaceTest, WhoIsTracedByAnotherIsOutOfReach) {
  map_for_child();
  SupervisedChild child([&] { return read_pipe(pipe_[0]); });
  forget();
  ASSERT_EQ(child.trouble(), "");
  ForeignTracer tracer(child.pid());
  ASSERT_TRUE(tracer.traces());
  EXPECT_EQ(invalidate(child, stale()).error(), Errno(EACCES));
  EXPECT_TRUE(old_->memory().in_use());
  EXPECT_EQ(tracer.end(), 0);
  let_child_look();
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

TEST_F(ProcessSpaceTest, WhoHasEndedIsGone) {
  SupervisedChild child([] { return 0; });
  ASSERT_EQ(child.trouble(), "");
  await_state(child.pid(), 'Z');
  EXPECT_EQ(invalidate(child, stale()).error(), Errno(ESRCH));
  EXPECT_EQ(exit_status_of(child.child()), 0);
}

// Whenever it ends, that is all there is to say; or its mappings went before.
TEST_F(ProcessSpaceTest, WhoEndsMeanwhileIsGone) {
  for (int turn = 0; turn < 20; ++turn) {
    map_for_child();
    SupervisedChild child([&] {
      ::usleep(static_cast<useconds_t>(turn) * 50);
      return 0;
    });
    forget();
    ASSERT_EQ(child.trouble(), "");
    const auto changed = invalidate(child, stale());
    EXPECT_TRUE(changed || changed.error() == Errno(ESRCH)) << "errno " << changed.error().value();
    EXPECT_EQ(exit_status_of(child.child()), 0);
  }
}

// In a call the thread that serves it does it, in the caller's own stop.
TEST_F(ProcessSpaceTest, InACallOfOurs) {
  char* const address = map_for_child();
  char* const second = map();
  SupervisedChild child([&] {
    if (raw_call(SYS_shmdt, 7) != 11) return 1;
    if (address[0] != 'n' || second[kPage] != 'n') return 2;
    if (raw_call(SYS_shmdt, 7) != 12) return 3;
    return is_mapped(address) || is_mapped(second) ? 4 : 0;
  });
  forget();
  ::munmap(second, kPages * kPage);
  ASSERT_EQ(child.trouble(), "");
  for (const std::int64_t answer : {11, 12}) {
    PendingCall call(child.listener(), child.receive());
    RemoteSpace space(call, expected_, features_, access_warnings_);
    Invalidation what = stale(answer == 11 ? fresh_.get() : nullptr);
    if (answer == 12) what.file = fresh_->identity().file;
    {
      const ExpectedReceiver receiver(child.listener(), expected_);
      const auto changed = space.invalidate(what);
      ASSERT_TRUE(changed) << "errno " << changed.error().value();
      EXPECT_EQ(*changed, 2U);
    }
    EXPECT_TRUE(call.answer(answer));
  }
  EXPECT_EQ(exit_status_of(child.child()), 0);
  EXPECT_FALSE(fresh_->memory().in_use());
}

}  // namespace
}  // namespace shmvisor
