#include "supervisor/attaches/shared_counts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace shmvisor {
namespace {

constexpr int kMost = 4;
constexpr pid_t kNotLookedAt = 5;

FileIdentity file(std::uint64_t inode) { return {1, inode}; }

/// Counts that are held until somebody lets them go. Of a file it tells the inode, as of one
/// process that was not looked at.
class Desk {
 public:
  Result<MappingCounts> count(std::span<const FileIdentity> files) {
    const int number = ++begun;
    if (number <= held) {
      while (go < number) ::usleep(100);
    }
    if (fails) return Errno(ENOMEM);
    if (throws) throw std::bad_alloc();
    MappingCounts counts;
    counts.complete = !incomplete;
    MappingCounts::LastKnown last{kNotLookedAt, {}};
    for (std::size_t place = 0; place < files.size(); ++place) {
      counts.of_files.push_back(files[place].inode);
      last.mapped.push_back({place, files[place].inode});
    }
    counts.last_known.push_back(std::move(last));
    asked += static_cast<int>(files.size());
    return counts;
  }

  std::atomic<int> begun{0};
  std::atomic<int> asked{0};
  std::atomic<int> held{0};  ///< so many of the first
  std::atomic<int> go{0};    ///< so many of them are let go
  std::atomic<bool> fails{false};
  std::atomic<bool> throws{false};
  std::atomic<bool> incomplete{false};
};

class SharedCountsTest : public ::testing::Test {
 protected:
  ~SharedCountsTest() override { end(); }
  void end() {
    desk_.go = 1000;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  bool reaches(const std::atomic<int>& number, int wanted) {
    for (int wait = 0; wait < 10000 && number < wanted; ++wait) ::usleep(1000);
    return number == wanted;
  }
  static std::vector<std::uint64_t> last_known_of_each(const MappingCounts& counts) {
    std::vector<std::uint64_t> of_each(counts.of_files.size());
    for (const MappingCounts::LastKnown& one : counts.last_known) {
      for (const auto& [place, mappings] : one.mapped) of_each.at(place) += mappings;
    }
    return of_each;
  }
  /// Asks in a thread of its own.
  void ask(std::vector<FileIdentity> files) {
    threads_.emplace_back([this, files = std::move(files)] {
      ++asking_;
      const auto counts = counts_.of(files);
      if (!counts) {
        ++failed_;
        return;
      }
      for (std::size_t place = 0; place < files.size(); ++place) {
        if (counts->of_files.at(place) != files[place].inode) ++wrong_;
      }
      if (last_known_of_each(*counts) != counts->of_files) ++wrong_;
      if (!counts->complete) ++incomplete_;
      ++told_;
    });
  }

  Desk desk_;
  SharedCounts counts_{[this](std::span<const FileIdentity> files) { return desk_.count(files); },
                       SharedCounts::Bounds{.quick = 2, .most = kMost}};
  std::vector<std::thread> threads_;
  std::atomic<int> asking_{0};
  std::atomic<int> told_{0};
  std::atomic<int> failed_{0};
  std::atomic<int> wrong_{0};
  std::atomic<int> incomplete_{0};
};

TEST_F(SharedCountsTest, WhoIsAloneHasACountOfItsOwn) {
  const std::vector<FileIdentity> files = {file(7), file(3), file(7)};
  for (int i = 1; i <= 3; ++i) {
    const auto counts = counts_.of(files);
    ASSERT_TRUE(counts);
    EXPECT_EQ(counts->of_files, (std::vector<std::uint64_t>{7, 3, 7}));
    EXPECT_EQ(desk_.begun, i);
  }
}

// However many threads of one process ask: all of them together cost others a count or two.
TEST_F(SharedCountsTest, ACrowdSharesTheNextCount) {
  constexpr int kCrowd = 60;
  desk_.held = kMost;
  for (int i = 1; i <= kMost; ++i) {
    ask({file(1)});
    ASSERT_TRUE(reaches(desk_.begun, i)) << "one that is held up lets others begin";
  }
  for (int i = 0; i < kCrowd; ++i) {
    ask({file(static_cast<std::uint64_t>(i % 20)), file(100)});
  }
  ASSERT_TRUE(reaches(asking_, kMost + kCrowd));
  ::usleep(20000);  // until they wait
  EXPECT_EQ(desk_.begun, kMost);
  desk_.go = 1;
  ASSERT_TRUE(reaches(told_, 1 + kCrowd));
  EXPECT_LE(desk_.begun, kMost + 3) << "some may have come later";
  EXPECT_LE(desk_.asked, 1 + 3 * 21) << "each file once";
  end();
  EXPECT_EQ(wrong_ + failed_ + incomplete_, 0);
}

// What was counted before somebody asked is not its answer.
TEST_F(SharedCountsTest, NobodyIsToldByACountThatHadBegun) {
  desk_.held = kMost;
  for (int i = 1; i <= kMost; ++i) {
    ask({file(1)});
    ASSERT_TRUE(reaches(desk_.begun, i));
  }
  ask({file(1)});
  ASSERT_TRUE(reaches(asking_, kMost + 1));
  ::usleep(20000);
  desk_.incomplete = true;
  desk_.go = kMost;
  ASSERT_TRUE(reaches(told_, kMost + 1));
  EXPECT_EQ(desk_.begun, kMost + 1);
  end();
  EXPECT_EQ(wrong_ + failed_, 0);
}

TEST_F(SharedCountsTest, AllWhoShareACountShareItsFailure) {
  desk_.held = kMost;
  for (int i = 1; i <= kMost; ++i) {
    ask({file(1)});
    ASSERT_TRUE(reaches(desk_.begun, i));
  }
  desk_.fails = true;
  for (int i = 0; i < 5; ++i) ask({file(2)});
  end();
  EXPECT_EQ(failed_, kMost + 5);
  desk_.fails = false;
  EXPECT_TRUE(counts_.of(std::vector<FileIdentity>{file(1)}));
}

TEST_F(SharedCountsTest, OneThatEndsByAnExceptionKeepsNoTurn) {
  desk_.throws = true;
  const std::vector<FileIdentity> files = {file(1)};
  for (int i = 0; i < 2 * kMost; ++i) {
    EXPECT_THROW((void)counts_.of(files), std::bad_alloc);
  }
  desk_.throws = false;
  EXPECT_TRUE(counts_.of(files));
}

TEST_F(SharedCountsTest, ManyWhoAskAllTheTime) {
  std::vector<std::thread> crowd;
  std::atomic<int> wrong = 0;
  for (int thread = 0; thread < 8; ++thread) {
    crowd.emplace_back([&, thread] {
      for (int i = 0; i < 3000; ++i) {
        const FileIdentity mine = file(static_cast<std::uint64_t>(thread * 10 + i % 3));
        const auto counts = counts_.of({&mine, 1});
        if (!counts || counts->of_files.front() != mine.inode) ++wrong;
      }
    });
  }
  for (std::thread& thread : crowd) thread.join();
  EXPECT_EQ(wrong, 0);
}

// All who wait look at the same moment whether another count may begin: when the one that goes on
// has taken long. The count that one of them makes then ends while the others look.
TEST_F(SharedCountsTest, WhoeverLooksWhileACountEndsSeesAllOfItOrNothing) {
  constexpr int kRounds = 20;
  constexpr int kCrowd = 8;
  SharedCounts counts([this](std::span<const FileIdentity> files) { return desk_.count(files); },
                      SharedCounts::Bounds{.quick = 1, .most = 2});
  std::atomic<int> wrong = 0;
  const auto ask_for = [&](std::uint64_t inode) {
    const FileIdentity mine = file(inode);
    const auto counted = counts.of({&mine, 1});
    if (!counted || counted->of_files.front() != inode) ++wrong;
  };
  for (int round = 0; round < kRounds; ++round) {
    desk_.begun = desk_.go = 0;
    desk_.held = 1;
    std::thread long_one([&] { ask_for(1000); });
    ASSERT_TRUE(reaches(desk_.begun, 1));
    std::atomic<int> told = 0;
    std::vector<std::thread> crowd;
    for (std::uint64_t asker = 0; asker < kCrowd; ++asker) {
      crowd.emplace_back([&, asker] {
        ask_for(asker);
        ++told;
      });
    }
    EXPECT_TRUE(reaches(told, kCrowd)) << "beside the one that takes long";
    desk_.go = 1;
    for (std::thread& thread : crowd) thread.join();
    long_one.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace shmvisor
