// The grammar of listenerMetadata.
#include "policy/limits/container_metadata.h"

#include <gtest/gtest.h>

namespace shmvisor {
namespace {

const ContainerMetadata kDefaults{{.shmmax = 5, .shmall = 6, .shmmni = 7}, ""};

ContainerMetadata parsed(std::string_view text) {
  const auto result = parse_container_metadata(text, kDefaults);
  EXPECT_TRUE(result) << text << ": " << result.error().reason;
  return result ? *result : ContainerMetadata{};
}

std::string reason(std::string_view text) {
  const auto result = parse_container_metadata(text, kDefaults);
  return result ? "" : result.error().reason;
}

TEST(ContainerMetadata, WhatIsNotSetKeepsItsDefault) {
  EXPECT_EQ(parsed(""), kDefaults);
  const ContainerMetadata one = parsed("shmmax=64M");
  EXPECT_EQ(one.limits, (Limits{.shmmax = 64 << 20, .shmall = 6, .shmmni = 7}));
  EXPECT_EQ(one.group, "");
}

TEST(ContainerMetadata, AllSettingsInAnyOrder) {
  const ContainerMetadata all = parsed("group=web-1.a_B,shmmni=16,shmall=2K,shmmax=0");
  EXPECT_EQ(all.limits, (Limits{.shmmax = 0, .shmall = 2048, .shmmni = 16}));
  EXPECT_EQ(all.group, "web-1.a_B");
}

TEST(ContainerMetadata, WhatItSetsIsKnownBesideTheDefaults) {
  const ContainerMetadata set = parsed("shmmni=7");
  EXPECT_EQ(set.own, (LimitSettings{.shmmni = 7}));
  EXPECT_EQ(set.limits, kDefaults.limits);
  EXPECT_FALSE(same_settings(set, kDefaults));
  const auto later = parse_container_metadata("shmmni=7", {{.shmmax = 1}, ""});
  ASSERT_TRUE(later);
  EXPECT_TRUE(same_settings(set, *later));
  LimitSettings changed{.shmmax = 9, .shmmni = 9};
  EXPECT_EQ(changed.without(set.own), (LimitSettings{.shmmax = 9}));
}

TEST(ContainerMetadata, WhatIsNoSetting) {
  EXPECT_EQ(reason("shmmax"), "'shmmax' is not NAME=VALUE");
  EXPECT_EQ(reason(","), "'' is not NAME=VALUE");
  EXPECT_EQ(reason("shmmax=1,"), "'' is not NAME=VALUE");
  EXPECT_EQ(reason(",shmmax=1"), "'' is not NAME=VALUE");
  EXPECT_EQ(reason("shmmax=1,,shmmni=2"), "'' is not NAME=VALUE");
  EXPECT_EQ(reason(" shmmax=1"), "nothing is called ' shmmax'");
  EXPECT_EQ(reason("SHMMAX=1"), "nothing is called 'SHMMAX'");
  EXPECT_EQ(reason("=1"), "nothing is called ''");
  EXPECT_EQ(reason("shmmax=1,shmmni=2,shmmax=1"), "shmmax is set twice");
  EXPECT_EQ(reason(std::string_view("\0", 1)), std::string("'\0' is not NAME=VALUE", 21));
}

TEST(ContainerMetadata, WhatIsNoValue) {
  for (const char* text : {"shmmax=", "shmmax=-1", "shmmax=1MB", "shmmax= 1", "shmmax=1=2",
                           "shmmax=99999999999999999999", "shmall=x", "shmmni=32769",
                           "group=", "group=a b", "group=a/b", "group=\xc3\xa4"}) {
    EXPECT_EQ(reason(text), "bad value in '" + std::string(text) + "'");
  }
  EXPECT_EQ(reason("group=" + std::string(64, 'x')), "");
  EXPECT_NE(reason("group=" + std::string(65, 'x')), "");
}

}  // namespace
}  // namespace shmvisor
