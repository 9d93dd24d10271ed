// Registers of aarch64: what becomes of those of a thread that the kernel has taken back to its
// call before it stopped.
#include <gtest/gtest.h>
#include <linux/audit.h>

#include <array>
#include <cstddef>

#include "supervisor/inject/arch/registers.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kEntry = 0x401000;
constexpr std::uint64_t kBehind = kEntry + 4;
constexpr std::uint64_t kThumbBehind = kEntry + 2;
constexpr std::uint64_t kThumb = 0x20;
constexpr std::int64_t kOrder = -513;
constexpr std::array<std::uint64_t, 6> kArguments{101, 102, 103, 104, 105, 106};

/// About to make shmat(3, 5, 6), for the first time or anew.
RawRegisters at_call() {
  RawRegisters raw;
  for (std::size_t at = 0; at < 31; ++at) raw.user.regs[at] = at + 1000;
  raw.user.regs[0] = 3;
  raw.user.regs[1] = 5;
  raw.user.regs[2] = 6;
  raw.user.regs[8] = 196;
  raw.user.sp = 0x7fff0008;
  raw.user.pc = kEntry;
  return raw;
}

seccomp_data shmat_call() {
  return {196, AUDIT_ARCH_AARCH64, kBehind, {3, 5, 6, 1003, 1004, 1005}};
}

Registers leaving() { return Registers(at_call()).leaving(shmat_call(), kOrder); }

TEST(RegistersAarch64Test, OneThatRepeatsItsCallIsLeavingIt) {
  EXPECT_TRUE(leaving().is_in(shmat_call()));
  EXPECT_EQ(leaving().result(Abi::kAarch64), kOrder);
  EXPECT_EQ(leaving().instruction_pointer(), kBehind);
  EXPECT_EQ(leaving().entry(), kEntry);
}

TEST(RegistersAarch64Test, OneElsewhereIsNot) {
  RawRegisters raw = at_call();
  raw.user.pc = kEntry - 4;
  EXPECT_FALSE(Registers(raw).leaving(shmat_call(), kOrder).is_in(shmat_call()));
  raw = at_call();
  raw.user.regs[0] = 4;
  EXPECT_FALSE(Registers(raw).leaving(shmat_call(), kOrder).is_in(shmat_call()))
      << "another segment's identifier";
  raw = at_call();
  raw.user.regs[8] = 197;
  EXPECT_FALSE(Registers(raw).leaving(shmat_call(), kOrder).is_in(shmat_call()))
      << "another call's number";
}

TEST(RegistersAarch64Test, OneWithAResultKeepsIt) {
  RawRegisters raw = at_call();
  raw.user.pc = kBehind;
  raw.user.regs[0] = static_cast<std::uint64_t>(-22);
  const Registers left = Registers(raw).leaving(shmat_call(), kOrder);
  EXPECT_TRUE(left.is_in(shmat_call()));
  EXPECT_EQ(left.result(Abi::kAarch64), -22);
}

TEST(RegistersAarch64Test, Returning) {
  const RawRegisters raw = leaving().returning(0x7000).raw();
  EXPECT_EQ(raw.user.pc, kBehind);
  EXPECT_EQ(raw.user.regs[0], 0x7000U);
  EXPECT_EQ(raw.user.regs[1], 5U);
  EXPECT_FALSE(raw.repeats);
}

TEST(RegistersAarch64Test, Repeating) {
  const RawRegisters raw = leaving().repeating().raw();
  EXPECT_EQ(raw.user.pc, kEntry);
  EXPECT_EQ(raw.user.regs[0], 3U);
  EXPECT_EQ(raw.user.regs[8], 196U);
  EXPECT_FALSE(raw.repeats);
}

TEST(RegistersAarch64Test, AMarkIsTheLastArgumentOfACallThatIsRepeated) {
  const Registers marked = leaving().with_last_argument(Abi::kAarch64, 77).ordered(kOrder);
  EXPECT_EQ(marked.raw().user.regs[5], 77U);
  EXPECT_EQ(marked.raw().user.regs[4], 1004U);
  EXPECT_TRUE(marked.raw().repeats);
  EXPECT_EQ(marked.repeating().raw().user.regs[5], 77U);
  EXPECT_EQ(marked.entry(), kEntry);
}

TEST(RegistersAarch64Test, Entering) {
  const Registers entering = leaving().entering(Abi::kAarch64, RemoteCall::kMmap, kArguments);
  EXPECT_EQ(entering.raw().user.pc, kEntry);
  EXPECT_EQ(entering.raw().user.regs[8], 222U);
  EXPECT_EQ(entering.raw().user.regs[5], 106U);
  EXPECT_EQ(entering.raw().user.regs[7], 1007U) << "says at a stop whether a call begins or ends";
  EXPECT_TRUE(entering.enters(Abi::kAarch64, AUDIT_ARCH_AARCH64, 222, kArguments));
  EXPECT_FALSE(entering.enters(Abi::kAarch64, AUDIT_ARCH_AARCH64, 221, kArguments));
  EXPECT_FALSE(entering.enters(Abi::kAarch64, AUDIT_ARCH_ARM, 222, kArguments));
}

TEST(RegistersAarch64Test, ThumbCodeEntersByTwoBytes) {
  RawRegisters raw = at_call();
  raw.is_arm = true;
  raw.user.pstate = kThumb;
  raw.user.regs[7] = 305;
  raw.user.regs[13] = 0x7fff0008;
  const seccomp_data call{305, AUDIT_ARCH_ARM, kThumbBehind, {3, 5, 6, 1003, 1004, 1005}};
  const Registers left = Registers(raw).leaving(call, kOrder);
  EXPECT_TRUE(left.is_in(call));
  EXPECT_EQ(left.abi(), Abi::kArm);
  EXPECT_EQ(left.result(Abi::kArm), kOrder);
  EXPECT_EQ(left.below_stack(32), 0x7ffeffe0U);
  const RawRegisters mapping = left.entering(Abi::kArm, RemoteCall::kMmap, kArguments).raw();
  EXPECT_EQ(mapping.user.pc, kEntry);
  EXPECT_EQ(mapping.user.regs[7], 192U);
  EXPECT_EQ(mapping.user.regs[5], 106U);
}

TEST(RegistersAarch64Test, AnArmResultIsAnAddressOrAnErrno) {
  RawRegisters raw = at_call();
  raw.is_arm = true;
  raw.user.regs[0] = 0xf7000000;
  EXPECT_EQ(Registers(raw).result(Abi::kArm), 0xf7000000);
  raw.user.regs[0] = 0xffffffea;
  EXPECT_EQ(Registers(raw).result(Abi::kArm), -22);
}

TEST(RegistersAarch64Test, WhatEntersTheKernel) {
  constexpr std::array<std::byte, 4> kSvc{std::byte{1}, std::byte{0}, std::byte{0},
                                          std::byte{0xd4}};
  constexpr std::array<std::byte, 2> kThumbSvc{std::byte{0}, std::byte{0xdf}};
  RawRegisters raw = at_call();
  EXPECT_TRUE(Registers(raw).would_enter_by(kSvc));
  EXPECT_FALSE(Registers(raw).would_enter_by(kThumbSvc));
  raw.is_arm = true;
  EXPECT_FALSE(Registers(raw).would_enter_by(kSvc));
  raw.user.pstate = kThumb;
  EXPECT_TRUE(Registers(raw).would_enter_by(kThumbSvc));
}

}  // namespace
}  // namespace shmvisor
