#include "supervisor/inject/arch/registers.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <cstring>

namespace shmvisor {
namespace {

user_regs_struct numbered() {
  user_regs_struct raw{};
  raw.rax = 1;
  raw.rbx = 2;
  raw.rcx = 3;
  raw.rdx = 4;
  raw.rsi = 5;
  raw.rdi = 6;
  raw.rbp = 7;
  raw.rsp = 8;
  raw.r8 = 9;
  raw.r9 = 10;
  raw.r10 = 11;
  raw.r12 = 12;
  raw.rip = 0x401002;
  raw.orig_rax = 30;
  raw.eflags = 0x246;
  return raw;
}

constexpr std::array<std::uint64_t, 6> kArguments{101, 102, 103, 104, 105, 106};

TEST(RegistersTest, EnteringAnX8664Call) {
  const Registers entering =
      Registers(numbered()).entering(Abi::kX86_64, RemoteCall::kMmap, kArguments);
  const user_regs_struct& raw = entering.raw();
  EXPECT_EQ(raw.rip, 0x401000U) << "back over the two bytes of `syscall`";
  EXPECT_EQ(raw.rax, 9U);
  EXPECT_EQ(raw.orig_rax, ~0ULL) << "in no call: nothing is restarted";
  EXPECT_EQ(raw.rdi, 101U);
  EXPECT_EQ(raw.rsi, 102U);
  EXPECT_EQ(raw.rdx, 103U);
  EXPECT_EQ(raw.r10, 104U);
  EXPECT_EQ(raw.r8, 105U);
  EXPECT_EQ(raw.r9, 106U);
  EXPECT_EQ(raw.rsp, 8U);
  EXPECT_EQ(raw.rbx, 2U);
  EXPECT_EQ(raw.eflags, 0x246U);
}

TEST(RegistersTest, EnteringAnI386Call) {
  const Registers entering =
      Registers(numbered()).entering(Abi::kI386, RemoteCall::kMmap, kArguments);
  const user_regs_struct& raw = entering.raw();
  EXPECT_EQ(raw.rip, 0x401000U);
  EXPECT_EQ(raw.rax, 192U) << "mmap2";
  EXPECT_EQ(raw.rbx, 101U);
  EXPECT_EQ(raw.rcx, 102U);
  EXPECT_EQ(raw.rdx, 103U);
  EXPECT_EQ(raw.rsi, 104U);
  EXPECT_EQ(raw.rdi, 105U);
  EXPECT_EQ(raw.rbp, 106U);
  EXPECT_EQ(raw.r8, 9U);
}

// arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl.
TEST(RegistersTest, NumbersOfTheCalls) {
  struct Case {
    RemoteCall call;
    std::uint64_t x86_64;
    std::uint64_t i386;
  };
  for (const Case& one : {Case{RemoteCall::kMmap, 9, 192}, Case{RemoteCall::kMunmap, 11, 91},
                          Case{RemoteCall::kClose, 3, 6}, Case{RemoteCall::kClone, 56, 120},
                          Case{RemoteCall::kShmdt, 67, 398}, Case{RemoteCall::kExitGroup, 231, 252},
                          Case{RemoteCall::kWait4, 61, 114}}) {
    const Registers registers(numbered());
    EXPECT_EQ(registers.entering(Abi::kX86_64, one.call, {}).raw().rax, one.x86_64);
    EXPECT_EQ(registers.entering(Abi::kI386, one.call, {}).raw().rax, one.i386);
  }
}

TEST(RegistersTest, WhatWasEnteredIsJudgedByAbiNumberAndArguments) {
  struct Case {
    Abi abi;
    std::uint32_t architecture;
    std::uint32_t other;
  };
  for (const auto& [abi, architecture, other] :
       {Case{Abi::kX86_64, AUDIT_ARCH_X86_64, AUDIT_ARCH_I386},
        Case{Abi::kI386, AUDIT_ARCH_I386, AUDIT_ARCH_X86_64}}) {
    const Registers entering = Registers(numbered()).entering(abi, RemoteCall::kMunmap, kArguments);
    const std::uint64_t number = call_number(abi, RemoteCall::kMunmap);
    EXPECT_TRUE(entering.enters(abi, architecture, number, kArguments));
    EXPECT_FALSE(entering.enters(abi, other, number, kArguments)) << "munmap's is execve's there";
    EXPECT_FALSE(entering.enters(abi, architecture, number + 1, kArguments));
    for (std::size_t at = 0; at < kArguments.size(); ++at) {
      auto changed = kArguments;
      ++changed.at(at);
      EXPECT_FALSE(entering.enters(abi, architecture, number, changed)) << "argument " << at;
    }
  }
}

TEST(RegistersTest, TheCallThatAThreadIsIn) {
  seccomp_data data{30, std::uint32_t{AUDIT_ARCH_X86_64}, 0x401002, {6, 5, 4, 11, 9, 10}};
  EXPECT_TRUE(Registers(numbered()).is_in(data));
  data.args[5] = 0;
  EXPECT_FALSE(Registers(numbered()).is_in(data)) << "another argument";
  data = {30, AUDIT_ARCH_I386, 0x401002, {2, 3, 4, 5, 6, 99}};
  EXPECT_TRUE(Registers(numbered()).is_in(data)) << "the sixth is the vdso's";
  data.nr = 31;
  EXPECT_FALSE(Registers(numbered()).is_in(data)) << "another call";
  data = {30, AUDIT_ARCH_AARCH64, 0x401002, {6, 5, 4, 11, 9, 10}};
  EXPECT_FALSE(Registers(numbered()).is_in(data)) << "an architecture that has no such registers";
}

TEST(RegistersTest, BelowTheStackIsBeyondTheRedZone) {
  user_regs_struct raw{};
  raw.rsp = 0x7ffd'0000'1238;
  EXPECT_EQ(Registers(raw).below_stack(16), 0x7ffd'0000'11a0U);
}

TEST(RegistersTest, ReturningChangesTheResultAlone) {
  const user_regs_struct returning = Registers(numbered()).returning(-22).raw();
  user_regs_struct expected = numbered();
  expected.rax = ~0ULL - 21;
  expected.orig_rax = ~0ULL;
  EXPECT_EQ(std::memcmp(&returning, &expected, sizeof(expected)), 0);
}

TEST(RegistersTest, AMarkChangesTheLastArgumentAndTheOrderAlone) {
  const user_regs_struct marked =
      Registers(numbered()).with_last_argument(Abi::kX86_64, ~1ULL).ordered(-513).raw();
  user_regs_struct expected = numbered();
  expected.r9 = ~1ULL;
  expected.rax = ~0ULL - 512;
  EXPECT_EQ(std::memcmp(&marked, &expected, sizeof(expected)), 0);
  EXPECT_EQ(Registers(numbered()).with_last_argument(Abi::kI386, ~1ULL).raw().rbp, 0xfffffffeU);
}

// 64-bit code that makes its call by `int $0x80`, with a frame pointer.
TEST(RegistersTest, AMarkOf32BitsLeavesTheRestOfTheRegister) {
  user_regs_struct raw = numbered();
  raw.rbp = 0x7fff'1234'5678'9abcU;
  const Registers marked = Registers(raw).with_last_argument(Abi::kI386, 0x1'0000'0005U);
  EXPECT_EQ(marked.raw().rbp, 0x7fff'1234'0000'0005U);
  EXPECT_EQ(marked.with_last_argument(Abi::kI386, 0x5678'9abcU).raw().rbp, raw.rbp);
}

TEST(RegistersTest, Results) {
  const auto result = [](Abi abi, std::uint64_t rax) {
    user_regs_struct raw{};
    raw.rax = rax;
    return Registers(raw).result(abi);
  };
  EXPECT_EQ(result(Abi::kX86_64, 0x7f0000001000), 0x7f0000001000);
  EXPECT_EQ(result(Abi::kX86_64, static_cast<std::uint64_t>(-12)), -12);
  EXPECT_EQ(result(Abi::kI386, 0xfffffff4), -12) << "an errno, whatever the upper half";
  EXPECT_EQ(result(Abi::kI386, static_cast<std::uint64_t>(-12)), -12);
  EXPECT_EQ(result(Abi::kI386, 0xf7f00000), 0xf7f00000) << "an address in the upper gigabyte";
  EXPECT_EQ(result(Abi::kI386, 0xfffff000), 0xfffff000);
  EXPECT_EQ(result(Abi::kI386, 0xfffff001), -4095);
}

}  // namespace
}  // namespace shmvisor
