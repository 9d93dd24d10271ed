#include "supervisor/attaches/known_mappings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace shmvisor {
namespace {

constexpr FileIdentity kBefore{1, 10};
constexpr FileIdentity kMeanwhile{1, 11};

class KnownMappingsTest : public testing::Test {
 protected:
  [[nodiscard]] std::uint64_t known_mappings_of(const FileIdentity& file) {
    const auto known = memory_.known_of(pid_);
    return known ? mappings_of(file, known->files) : 0;
  }

  const pid_t pid_ = ::getpid();
  KnownMappings memory_;
};

// A first look that does not end tells nothing, but the process itself has told something.
TEST_F(KnownMappingsTest, WhatWasAttachedBeforeAFirstLookThatIsLateCounts) {
  memory_.note_attach(pid_, kBefore);
  EXPECT_TRUE(memory_.attached_unseen(pid_, kBefore));
  const KnownMappings::Looking look(memory_, pid_);
  memory_.note_attach(pid_, kMeanwhile);
  EXPECT_FALSE(memory_.known_of(pid_)) << "it is to be looked at";
  memory_.begin_late(pid_, KnownMappings::Phase::kWalking, memory_.payer_of(pid_));
  EXPECT_EQ(known_mappings_of(kBefore), 1U);
  EXPECT_EQ(known_mappings_of(kMeanwhile), 1U);
  memory_.end_late(pid_);
}

// It stays so until a look has finished, which has seen it or seen that it is gone.
TEST_F(KnownMappingsTest, WhatWasAttachedBeforeIsForgottenOnceALookHasFinished) {
  memory_.note_attach(pid_, kBefore);
  { const KnownMappings::Looking given_up(memory_, pid_); }
  EXPECT_TRUE(memory_.attached_unseen(pid_, kBefore));
  {
    const KnownMappings::Looking look(memory_, pid_);
    memory_.remember(pid_, {}, std::chrono::nanoseconds(1), false);
  }
  EXPECT_FALSE(memory_.attached_unseen(pid_, kBefore));
}

}  // namespace
}  // namespace shmvisor
