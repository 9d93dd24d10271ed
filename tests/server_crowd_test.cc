// Server, where many call at once, or somebody keeps a thread.
#include <algorithm>
#include <array>

#include "tests/server_fixture.h"

namespace shmvisor {
namespace {

TEST_F(ServerTest, ManyProcessesAndThreadsAtOnce) {
  EXPECT_EQ(serve([] {
              for (int process = 0; process < 4; ++process) {
                if (::fork() != 0) continue;
                const auto work = [](std::atomic<int>& failures) {
                  for (int round = 0; round < 10; ++round) {
                    const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
                    char* const at = attach(id);
                    if (at == MAP_FAILED) {
                      ++failures;
                      continue;
                    }
                    at[0] = 'x';
                    failures += ::shmctl(id, IPC_RMID, nullptr) != 0;
                    failures += ::shmdt(at) != 0;
                  }
                };
                std::atomic<int> failures = 0;
                work(failures);
                ::_exit(failures == 0 ? 0 : 1);
              }
              int failed = 0;
              int status = 0;
              while (::wait(&status) > 0) failed += status != 0;
              return failed;
            }),
            0);
  EXPECT_EQ(segments_left_, 0);
}

// A caller is killed somewhere in the middle; the others are served on, and nothing is left of it.
TEST_F(ServerTest, NobodyWaitsForWhoCountsMappings) {
  const int status = serve([this] {
    const int id = ::shmget(1, kPage, IPC_CREAT | 0600);
    if (attach(id) == nullptr) return 1;
    const pid_t other = ::fork();
    if (other == 0) {
      if (!becomes(slow_count_->begun)) return 2;
      if (::shmget(1, 0, 0) != id || ::shmget(2, kPage, IPC_CREAT | 0600) < 0) return 3;
      char* const address = attach(id);
      if (address == nullptr || ::shmdt(address) != 0) return 4;
      slow_count_->others_answered = true;
      return 0;
    }
    slow_count_->wanted = true;
    if (nattch(id) != 1 && nattch(id) != 2)
      return 5;  // as long as the other is there, it has it too
    int ended = 0;
    return ::waitpid(other, &ended, 0) == other && ended == 0 ? 0 : 6;
  });
  EXPECT_EQ(status, 0);
}

/// One call is in service, one waits, and all others are refused meanwhile: observers hear of
/// these.
TEST_F(ServerTest, CallsBeyondAUsersShareAreRefusedAndObserved) {
  constexpr int kRefused = 3;
  CallRing ring;
  CallTally tally;
  ring.open([] {});
  tally.begin();
  options_.most_threads = 3;
  options_.most_waiting_of_user = 1;
  options_.ring = &ring;
  options_.tally = &tally;
  ASSERT_EQ(ReceiverPool::calls_of(options_.most_threads), 1);
  const SharedPage<std::atomic<int>> refused;
  const int status = serve([&] {
    const int id = ::shmget(1, kPage, IPC_CREAT | 0600);
    if (attach(id) == nullptr) return 1;
    for (int child = 0; child < kRefused + 1; ++child) {
      if (::fork() != 0) continue;
      if (!becomes(slow_count_->begun)) ::_exit(2);
      const int found = ::shmget(1, 0, 0);
      if (found == id) ::_exit(0);
      if (errno != ENOMEM) ::_exit(3);
      if (++*refused == kRefused) slow_count_->others_answered = true;
      ::_exit(0);
    }
    slow_count_->wanted = true;
    if (nattch(id) == 999) return 4;
    int failed = 0;
    int ended = 0;
    while (::wait(&ended) > 0) failed += ended != 0;
    return failed == 0 ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(refused->load(), kRefused);
  EXPECT_EQ(tally.refusals(Denial::Reason::kCallsOfUser), std::uint64_t{kRefused});
  EXPECT_EQ(tally.of(ShmOperation::kShmget).errors, std::uint64_t{kRefused});
  std::array<CallEvent, 32> events;
  const std::size_t count = ring.take(events);
  EXPECT_EQ(std::count_if(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count),
                          [](const CallEvent& event) {
                            return event.value == -ENOMEM &&
                                   event.denial.reason == Denial::Reason::kCallsOfUser;
                          }),
            kRefused);
}

// A thread that serves keeps to one CPU meanwhile; one that it makes then does not.
TEST_F(ServerTest, NoThreadIsConfinedByTheOneThatMadeIt) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(all), &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is but one CPU";
    // The watchdog is made by whoever starts the server; so is a thread of ThreadSanitizer's own.
#ifdef __SANITIZE_THREAD__
  constexpr int kMadeByStarter = 2;
#else
  constexpr int kMadeByStarter = 1;
#endif
  const auto count_threads = [&all](bool confined) {
    int count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      cpu_set_t its;
      CPU_ZERO(&its);
      if (::sched_getaffinity(std::stoi(task.path().filename()), sizeof(its), &its) != 0) continue;
      if (confined != static_cast<bool>(CPU_EQUAL(&its, &all))) ++count;
    }
    return count;
  };
  // Those that count mappings live on from test to test, each where it was needed last.
  const int made_before = count_threads(true);
  start_pinned_ = true;
  const int status = serve(
      [] { return ::pause(); },
      [&](SupervisedChild& child) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        // Ourselves, the receiver and another.
        while ((count_threads(false) < 3 || count_threads(true) > kMadeByStarter + made_before) &&
               std::chrono::steady_clock::now() < deadline) {
          ::usleep(1000);
        }
        EXPECT_GE(count_threads(false), 3);
        EXPECT_LE(count_threads(true), kMadeByStarter + made_before);
        ::kill(child.pid(), SIGKILL);
      });
  EXPECT_EQ(status, -SIGKILL);
}

TEST_F(ServerTest, KilledInTheMiddle) {
  EXPECT_EQ(serve([] {
              for (unsigned round = 0; round < 40; ++round) {
                const pid_t pid = ::fork();
                if (pid == 0) {
                  for (;;) {
                    const int id = ::shmget(IPC_PRIVATE, kPage, 0600);
                    char* const at = attach(id);
                    ::shmctl(id, IPC_RMID, nullptr);
                    ::shmdt(at);
                  }
                }
                ::usleep(500 + round * 137 % 3000);
                ::kill(pid, SIGKILL);
                if (::waitpid(pid, nullptr, 0) != pid) return 1;
              }
              return life_of_a_segment();
            }),
            0);
  EXPECT_LE(segments_left_, 40) << "those that were created and not removed";
}

TEST_F(ServerTest, ABurstOfThreadsIsGivenBack) {
  const auto threads = [] {
    const std::filesystem::directory_iterator entries("/proc/self/task");
    return std::distance(begin(entries), end(entries));
  };
  // A sanitizer may start one of its own together with the first.
  std::thread([] {}).join();
  const auto before = threads();
  EXPECT_EQ(serve(
                [] {
                  for (int process = 0; process < 24; ++process) {
                    if (::fork() == 0)
                      ::_exit(attach(::shmget(IPC_PRIVATE, kPage, 0600)) == MAP_FAILED);
                  }
                  int failed = 0;
                  int status = 0;
                  while (::wait(&status) > 0) failed += status != 0;
                  return failed;
                },
                [&](SupervisedChild&) { EXPECT_GT(threads(), before); }),
            0);
  // A thread that has said that it ends may need a moment to be gone.
  for (int wait = 0; wait < 1000 && threads() > before; ++wait) ::usleep(1000);
  EXPECT_EQ(threads(), before);
}

}  // namespace
}  // namespace shmvisor
