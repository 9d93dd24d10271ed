// Call sites of x86-64: which bytes are one, and the jumps that replace it.
#include "supervisor/inject/arch/call_site.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "emulation/abi/pages.h"
#include "supervisor/inject/call_page.h"

namespace shmvisor {
namespace {

using call_site::Word;
using Bytes = std::array<std::uint8_t, sizeof(Word)>;

constexpr int kShmat = 30;
constexpr std::uint8_t kRet = 0xc3;
/// mov $30, %eax; syscall; cmp ...
constexpr Bytes kSite = {0xb8, 0x1e, 0, 0, 0, 0x0f, 0x05, 0x48};

Word word_of(const Bytes& bytes) {
  Word word = 0;
  std::memcpy(&word, bytes.data(), sizeof(word));
  return word;
}
Bytes bytes_of(Word word) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &word, sizeof(word));
  return bytes;
}
Bytes changed(std::size_t at, std::uint8_t byte) {
  Bytes bytes = kSite;
  bytes.at(at) = byte;
  return bytes;
}

TEST(CallSiteTest, OnlyTheWholeOfItIsOne) {
  EXPECT_TRUE(call_site::is_site(word_of(kSite), kRet, kShmat));
  EXPECT_TRUE(call_site::is_site(word_of(changed(7, 0xc3)), kRet, kShmat)) << "what follows";
  EXPECT_FALSE(call_site::is_site(word_of(kSite), kRet, 67)) << "of another call";
  for (std::size_t at = 0; at < call_site::kBytes; ++at) {
    const auto other = static_cast<std::uint8_t>(kSite.at(at) ^ 0x80U);
    EXPECT_FALSE(call_site::is_site(word_of(changed(at, other)), kRet, kShmat)) << at;
  }
  EXPECT_FALSE(call_site::is_site(word_of(changed(6, 0x34)), kRet, kShmat)) << "sysenter";
}

/// 41 b8 is mov $30, %r8d, and 66 b8 takes two bytes of the number.
TEST(CallSiteTest, APrefixMakesAnotherInstruction) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool prefix = (byte & 0xf0) == 0x40 || byte == 0x66;
    EXPECT_EQ(call_site::is_site(word_of(kSite), static_cast<std::uint8_t>(byte), kShmat), !prefix)
        << byte;
  }
}

TEST(CallSiteTest, TheJumpReplacesTheLoadAlone) {
  constexpr std::uint64_t kAt = 0x7f00'0000'1000;
  const auto jump = call_site::with_jump(word_of(kSite), kAt, kAt - 0x1000);
  ASSERT_TRUE(jump);
  const Bytes bytes = bytes_of(*jump);
  EXPECT_EQ(bytes[0], 0xe9);
  std::int32_t distance = 0;
  std::memcpy(&distance, bytes.data() + 1, sizeof(distance));
  EXPECT_EQ(distance, -0x1005);
  EXPECT_TRUE(std::equal(bytes.begin() + 5, bytes.end(), kSite.begin() + 5));
}

TEST(CallSiteTest, TheJumpReachesTwoGigabytes) {
  constexpr std::uint64_t kAt = 0x7f00'0000'1000;
  constexpr std::uint64_t kFar = std::uint64_t{1} << 31;
  EXPECT_TRUE(call_site::with_jump(word_of(kSite), kAt, kAt + 5 + kFar - 1));
  EXPECT_FALSE(call_site::with_jump(word_of(kSite), kAt, kAt + 5 + kFar));
  EXPECT_TRUE(call_site::with_jump(word_of(kSite), kAt, kAt + 5 - kFar));
  EXPECT_FALSE(call_site::with_jump(word_of(kSite), kAt, kAt + 5 - kFar - 1));
}

TEST(CallSiteTest, StubsLieNearAndInNobodysWay) {
  constexpr std::uint64_t kSites[] = {0x40'1000, 0x3fff'f000, 0x5555'5555'4000, 0x7fff'f7ed'1000};
  constexpr std::uint64_t kDrawn[] = {0, 1, 0x1234'5678'9abc, ~std::uint64_t{0}};
  constexpr std::uint64_t kFixedProgram = 0x40'0000;
  for (const std::uint64_t site : kSites) {
    for (const std::uint64_t drawn : kDrawn) {
      const std::uint64_t place = call_site::place_of_stubs(site, drawn);
      EXPECT_TRUE(is_page_aligned(place));
      EXPECT_LT(place + kPageBytes, site);
      EXPECT_TRUE(call_site::with_jump(word_of(kSite), site, place)) << site << " " << place;
      if (site < (std::uint64_t{1} << 30)) {
        EXPECT_GE(place, 0x10'0000U);
        EXPECT_LT(place + kPageBytes, kFixedProgram);
      }
      EXPECT_EQ(place, call_site::place_of_stubs(site + 0x40, drawn)) << "a neighbour's";
    }
  }
}

TEST(CallSiteTest, AStubHoldsBothAddresses) {
  const call_site::Stub stub = call_site::stub(0x1122'3344'5566, 0x2aab'bccd'd000);
  std::array<std::uint8_t, sizeof(stub)> bytes{};
  std::memcpy(bytes.data(), stub.data(), sizeof(stub));
  std::uint64_t after = 0;
  std::uint64_t entry = 0;
  std::memcpy(&after, bytes.data() + 2, sizeof(after));
  std::memcpy(&entry, bytes.data() + 12, sizeof(entry));
  EXPECT_EQ(after, 0x1122'3344'5566U);
  EXPECT_EQ(entry, 0x2aab'bccd'd000U);
  EXPECT_NE(stub[0], 0U) << "what a free one has";
}

/// A caller may say any address: only slots that callers take by themselves are written to.
TEST(CallSiteTest, OnlySlotsOfSitesAreTold) {
  KernelFeatures features;
  const auto page = CallPage::create(features);
  if (page == nullptr) GTEST_SKIP() << "this machine has no executable memfds";
  const std::uint64_t code = page->mapping(0)[0];
  const std::uint64_t slots = code + kPageBytes;
  const auto told = [&](std::uint64_t from, std::uint64_t slot) {
    seccomp_data call{};
    call.nr = kShmat;
    call.instruction_pointer = from;
    call.args[3] = slot;
    return page->slot_of_site(call);
  };
  const std::uint64_t asked = code + page_code::asked();
  constexpr std::uint64_t kSlot = page_code::kSlotBytes;
  const std::uint64_t first = slots + page_code::kSlotsOfSupervisor * kSlot;
  const std::uint64_t end = first + page_code::kSlotsOfSites * kSlot;
  EXPECT_EQ(told(asked, first), first);
  EXPECT_EQ(told(asked, end - kSlot), end - kSlot);
  EXPECT_LE(end, slots + kPageBytes);
  for (const std::uint64_t wrong :
       {std::uint64_t{0}, slots, first - kSlot, first + 8, end, end + kSlot,
        first + (std::uint64_t{1} << 63), ~std::uint64_t{0}}) {
    EXPECT_EQ(told(asked, wrong), std::nullopt) << wrong - slots;
  }
  EXPECT_EQ(told(asked + 1, first), std::nullopt) << "from elsewhere";
  EXPECT_EQ(told(0x1000, first), std::nullopt);
}

}  // namespace
}  // namespace shmvisor
