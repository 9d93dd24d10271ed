#include "supervisor/procfiles/request_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shmvisor {
namespace {

RequestQueue::Request request(uid_t user, std::uint64_t handle = 0, char name = 'x') {
  return {std::vector<char>{name}, user, handle};
}

/// All that can begin now, and are under way from then on.
std::vector<RequestQueue::Taken> begin_all(RequestQueue& queue) {
  std::vector<RequestQueue::Taken> begun;
  for (;;) {
    auto one = queue.begin();
    if (one.empty()) return begun;
    begun.push_back(std::move(one));
  }
}

std::string names(const std::vector<RequestQueue::Taken>& begun) {
  std::string all;
  for (const auto& one : begun) all += one.front().bytes.front();
  return all;
}

TEST(RequestQueue, GivesInTheOrderInWhichTheyCame) {
  RequestQueue queue(8);
  EXPECT_TRUE(queue.begin().empty());
  for (const char name : {'a', 'b', 'c'}) queue.add(request(1, 0, name));
  EXPECT_EQ(names(begin_all(queue)), "abc");
}

TEST(RequestQueue, LeavesAHalfToOthersAndTheNextAQuarter) {
  RequestQueue queue(8);
  for (int i = 0; i < 400; ++i) queue.add(request(1));
  EXPECT_EQ(begin_all(queue).size(), 4U);
  for (int i = 0; i < 400; ++i) queue.add(request(2));
  EXPECT_EQ(begin_all(queue).size(), 2U);
  queue.add(request(3));
  EXPECT_EQ(begin_all(queue).size(), 1U);
}

TEST(RequestQueue, TakesTurns) {
  RequestQueue queue(1);
  for (const char name : {'a', 'b', 'c'}) queue.add(request(1, 0, name));
  auto begun = queue.begin();
  queue.add(request(2, 0, 'd'));
  queue.add(request(3, 0, 'e'));
  std::string order;
  while (!begun.empty()) {
    order += begun.front().bytes.front();
    queue.end(begun);
    begun = queue.begin();
  }
  EXPECT_EQ(order, "adebc");
}

TEST(RequestQueue, OneThatWaitsForAFileIsNotUnderWay) {
  RequestQueue queue(8);
  for (const char name : {'a', 'b', 'c'}) queue.add(request(1, 7, name));
  queue.add(request(1, 8, 'd'));
  queue.add(request(2, 7, 'e'));
  queue.add(request(2, 0, 'f'));
  auto begun = begin_all(queue);
  EXPECT_EQ(names(begun), "afd");

  queue.end(begun[0]);
  auto second = begin_all(queue);
  EXPECT_EQ(names(second), "e") << "the first that was to begin and could not";
  queue.end(begun[1]);
  queue.end(begun[2]);
  queue.add(request(1, 0, 'g'));
  EXPECT_EQ(names(begin_all(queue)), "g");
  // The one that has its turn at the file is the first of its user's.
  queue.add(request(1, 0, 'h'));
  queue.end(second[0]);
  EXPECT_EQ(names(begin_all(queue)), "bh");
}

TEST(RequestQueue, AFileIsFreeAgainWhenItsLastRequestHasEnded) {
  RequestQueue queue(8);
  for (int round = 0; round < 3; ++round) {
    queue.add(request(1, 7));
    queue.add(request(2, 7));
    for (int i = 0; i < 2; ++i) {
      auto begun = begin_all(queue);
      ASSERT_EQ(begun.size(), 1U);
      queue.end(begun[0]);
    }
    EXPECT_TRUE(queue.begin().empty());
  }
}

}  // namespace
}  // namespace shmvisor
