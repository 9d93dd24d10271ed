// What one user may have in a registry, beside the registry's limits.
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "emulation/shm/registries.h"
#include "tests/fakes/shm_test.h"

namespace shmvisor {
namespace {

class UserLimitsTest : public ShmTest {
 protected:
  UserLimitsTest() : other_(host, 4712) {
    caller.subject().real_uid = 1000;
    other_.subject().real_uid = 1001;
  }

  void set(const UserLimits& limits) {
    registry.change(SetUserLimits{std::make_shared<const UserLimits>(limits)});
  }
  Reply reply_of(FakeCaller& by, std::uint64_t size) {
    return answer_call(decode(get_call(IPC_PRIVATE, size, IPC_CREAT | 0600)), by, registry);
  }
  std::int64_t make(FakeCaller& by, std::uint64_t size = kPage) {
    return reply_of(by, size).value();
  }
  void remove(std::int64_t id) {
    FakeCaller root(host, 1);
    root.subject().capabilities.insert(Capability::kSysAdmin);
    ASSERT_EQ(ctl(root, static_cast<int>(id), IPC_RMID, 0), 0);
  }

  FakeCaller other_;
};

TEST_F(UserLimitsTest, WithoutThemNobodyIsCounted) {
  EXPECT_GE(make(caller), 0);
  EXPECT_EQ(registry.read()->usage_of(1000).segments, 0U);
  EXPECT_FALSE(registry.read()->limit_of(1000).sets_any());
}

TEST_F(UserLimitsTest, EachIsOfOneUser) {
  UserLimits limits;
  limits.of_each = {std::nullopt, 4, 3};
  limits.of_one[1001] = {2 * kPage, std::nullopt, 1};
  set(limits);
  EXPECT_GE(make(caller, 2 * kPage), 0);
  EXPECT_EQ(make(caller, 3 * kPage), -ENOSPC);  // shmall
  EXPECT_GE(make(caller, 1), 0);
  EXPECT_GE(make(caller, 1), 0);
  EXPECT_EQ(make(caller, 1), -ENOSPC);
  EXPECT_EQ(make(other_, 2 * kPage + 1), -EINVAL);
  EXPECT_GE(make(other_, 2 * kPage), 0);
  EXPECT_EQ(make(other_, 1), -ENOSPC);
}

TEST_F(UserLimitsTest, TheReplySaysWhichRefused) {
  UserLimits limits;
  limits.of_each = {4 * kPage, 5, 2};
  set(limits);
  using Reason = Denial::Reason;
  EXPECT_EQ(reply_of(caller, 4 * kPage + 1).denial(),
            (Denial{Reason::kUserShmmax, 4 * kPage, 4 * kPage + 1, 0}));
  ASSERT_GE(make(caller, 2 * kPage), 0);
  EXPECT_EQ(reply_of(caller, 4 * kPage).denial(), (Denial{Reason::kUserShmall, 5, 4, 2}));
  ASSERT_GE(make(caller, kPage), 0);
  EXPECT_EQ(reply_of(caller, 1).denial(), (Denial{Reason::kUserShmmni, 2, 1, 2}));
}

TEST_F(UserLimitsTest, SegmentsThatGoMakeRoom) {
  UserLimits limits;
  limits.of_each = {std::nullopt, 2, std::nullopt};
  set(limits);
  const auto first = make(caller, 2 * kPage);
  EXPECT_EQ(make(caller, 1), -ENOSPC);
  remove(first);
  EXPECT_EQ(registry.read()->usage_of(1000).pages, 0U);
  EXPECT_GE(make(caller, kPage), 0);
  EXPECT_EQ(registry.read()->usage_of(1000).pages, 1U);
}

TEST_F(UserLimitsTest, WhatIsThereWhenTheyAreSetCounts) {
  const auto first = make(caller, 2 * kPage);
  ASSERT_GE(make(caller, kPage), 0);
  UserLimits limits;
  limits.of_each = {std::nullopt, 3, std::nullopt};
  set(limits);
  EXPECT_EQ(registry.read()->usage_of(1000).segments, 2U);
  EXPECT_EQ(make(caller, 1), -ENOSPC);
  remove(first);
  EXPECT_GE(make(caller, 2 * kPage), 0);
  registry.change(SetUserLimits{nullptr});
  EXPECT_GE(make(caller, 9 * kPage), 0);
  remove(first + 1);
}

TEST_F(UserLimitsTest, AFailedCreationCountsNothing) {
  UserLimits limits;
  limits.of_each = {std::nullopt, std::nullopt, 1};
  set(limits);
  run_killed(get_call(IPC_PRIVATE, kPage, IPC_CREAT | 0600));
  EXPECT_EQ(registry.read()->usage_of(1000).segments, 0U);
  EXPECT_GE(make(caller), 0);
}

TEST_F(UserLimitsTest, TheOwnerMayChangeAndTheUserStays) {
  UserLimits limits;
  limits.of_each = {std::nullopt, std::nullopt, 1};
  set(limits);
  caller.subject().effective_uid = 7;
  ASSERT_GE(make(caller), 0);
  EXPECT_EQ(registry.read()->usage_of(1000).segments, 1U);
  EXPECT_EQ(registry.read()->usage_of(7).segments, 0U);
  EXPECT_EQ(make(caller), -ENOSPC);
}

TEST_F(UserLimitsTest, RegistriesTakeThemOver) {
  Registries registries(host, Limits(), 1);
  const auto before = registries.of(2);
  UserLimits limits;
  limits.of_each.shmmni = 0;
  registries.set_user_limits(std::make_shared<const UserLimits>(limits));
  registries.set_limits({.shmmax = 100, .shmmni = 5});
  const auto after = registries.of(3);
  for (const auto& one : {registries.initial(), before, after}) {
    EXPECT_EQ(one->read()->limit_of(5).shmmni, 0U);
    EXPECT_EQ(one->read()->limits().shmmax, 100U);
    EXPECT_EQ(one->read()->limits().shmall, Limits().shmall);
    EXPECT_EQ(one->read()->limits().shmmni, 5U);
  }
}

}  // namespace
}  // namespace shmvisor
