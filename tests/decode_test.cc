// decode(): numbers and arguments into calls.
#include <gtest/gtest.h>

#include "emulation/abi/call_numbers.h"
#include "emulation/syscalls/shm_call.h"

namespace shmvisor {
namespace {

using Arguments = std::array<std::uint64_t, 6>;

constexpr std::uint64_t MSGCTL = 14;
constexpr std::uint64_t SHMAT = ipc_subcall::kShmat;
constexpr std::uint64_t SHMDT = ipc_subcall::kShmdt;
constexpr std::uint64_t SHMGET = ipc_subcall::kShmget;
constexpr std::uint64_t SHMCTL = ipc_subcall::kShmctl;

constexpr std::uint64_t kJunk = 0xdeadbeef'00000000;

ShmCall decoded(Abi abi, int number, const Arguments& arguments) {
  const auto call = decode({abi, number, arguments});
  EXPECT_TRUE(call) << "errno " << (call ? 0 : call.error().value());
  return call ? *call : ShmCall();
}

ShmCall ipc(std::uint64_t call, std::uint64_t first, std::uint64_t second, std::uint64_t third,
            std::uint64_t pointer, std::uint64_t fifth = 0) {
  return decoded(Abi::kI386, *kI386Calls.ipc, {call, first, second, third, pointer, fifth});
}

TEST(DecodeTest, X8664Shmget) {
  const ShmCall call =
      decoded(Abi::kX86_64, kX86_64Calls.shmget, {0xffffffff, 0x1'2345'6789, 01600});
  EXPECT_EQ(call.operation, ShmOperation::kShmget);
  EXPECT_EQ(call.abi, Abi::kX86_64);
  EXPECT_EQ(call.key, -1);
  EXPECT_EQ(call.size_bytes, 0x1'2345'6789U);
  EXPECT_EQ(call.shmflg, 01600);
}

TEST(DecodeTest, X8664Shmat) {
  const ShmCall call = decoded(Abi::kX86_64, kX86_64Calls.shmat, {32768, 0x7fff'ffff'f000, 010000});
  EXPECT_EQ(call.operation, ShmOperation::kShmat);
  EXPECT_EQ(call.shmid, 32768);
  EXPECT_EQ(call.address, 0x7fff'ffff'f000U);
  EXPECT_EQ(call.shmflg, 010000);
  EXPECT_FALSE(call.result_address);
}

TEST(DecodeTest, X8664Shmctl) {
  const ShmCall call = decoded(Abi::kX86_64, kX86_64Calls.shmctl, {5, 0x102, 0x7fff'0000'1000});
  EXPECT_EQ(call.operation, ShmOperation::kShmctl);
  EXPECT_EQ(call.shmid, 5);
  EXPECT_EQ(call.command, 0x102) << "no version in the command of the separate call";
  EXPECT_EQ(call.version, IpcVersion::kIpc64);
  EXPECT_EQ(call.address, 0x7fff'0000'1000U);
}

TEST(DecodeTest, X8664Shmdt) {
  const ShmCall call = decoded(Abi::kX86_64, kX86_64Calls.shmdt, {0x7fff'0000'1000});
  EXPECT_EQ(call.operation, ShmOperation::kShmdt);
  EXPECT_EQ(call.address, 0x7fff'0000'1000U);
}

// int arguments are the lower half of their register, whatever the upper one holds.
TEST(DecodeTest, IntegersLoseTheUpperHalf) {
  const ShmCall get = decoded(Abi::kX86_64, kX86_64Calls.shmget, {kJunk | 7, 4096, kJunk | 0600});
  EXPECT_EQ(get.key, 7);
  EXPECT_EQ(get.shmflg, 0600);
  const ShmCall at =
      decoded(Abi::kX86_64, kX86_64Calls.shmat, {kJunk | 0xffffffff, kJunk, kJunk | 1});
  EXPECT_EQ(at.shmid, -1);
  EXPECT_EQ(at.address, kJunk) << "an address is the whole register";
  EXPECT_EQ(at.shmflg, 1);
  const ShmCall ctl =
      decoded(Abi::kX86_64, kX86_64Calls.shmctl, {kJunk | 3, kJunk | 0x80000002, 0});
  EXPECT_EQ(ctl.shmid, 3);
  EXPECT_EQ(ctl.command, static_cast<int>(0x80000002));
}

TEST(DecodeTest, I386SeparateCallsAreIpc64AndNarrow) {
  const ShmCall get = decoded(Abi::kI386, kI386Calls.shmget, {kJunk | 7, kJunk | 0xfffff000, 0600});
  EXPECT_EQ(get.operation, ShmOperation::kShmget);
  EXPECT_EQ(get.abi, Abi::kI386);
  EXPECT_EQ(get.size_bytes, 0xfffff000U);
  const ShmCall ctl = decoded(Abi::kI386, kI386Calls.shmctl, {3, 0x102, kJunk | 0x1000});
  EXPECT_EQ(ctl.operation, ShmOperation::kShmctl);
  EXPECT_EQ(ctl.command, 0x102);
  EXPECT_EQ(ctl.version, IpcVersion::kIpc64);
  EXPECT_EQ(ctl.address, 0x1000U);
  const ShmCall at = decoded(Abi::kI386, kI386Calls.shmat, {3, kJunk | 0xb0000000, 0});
  EXPECT_EQ(at.operation, ShmOperation::kShmat);
  EXPECT_EQ(at.address, 0xb0000000U);
  EXPECT_FALSE(at.result_address);
  const ShmCall dt = decoded(Abi::kI386, kI386Calls.shmdt, {kJunk | 0xb0000000});
  EXPECT_EQ(dt.operation, ShmOperation::kShmdt);
  EXPECT_EQ(dt.address, 0xb0000000U);
}

TEST(DecodeTest, IpcShmat) {
  const ShmCall call = ipc(SHMAT, 3, 010000, kJunk | 0x2000, kJunk | 0xb0000000);
  EXPECT_EQ(call.operation, ShmOperation::kShmat);
  EXPECT_EQ(call.abi, Abi::kI386);
  EXPECT_EQ(call.shmid, 3);
  EXPECT_EQ(call.shmflg, 010000);
  EXPECT_EQ(call.address, 0xb0000000U);
  ASSERT_TRUE(call.result_address);
  EXPECT_EQ(*call.result_address, 0x2000U);
}

TEST(DecodeTest, IpcShmdt) {
  const ShmCall call = ipc(SHMDT, 1, 2, 3, 0xb0000000);
  EXPECT_EQ(call.operation, ShmOperation::kShmdt);
  EXPECT_EQ(call.address, 0xb0000000U);
}

TEST(DecodeTest, IpcShmget) {
  const ShmCall call = ipc(SHMGET, 0xffffffff, 0xfffff000, 01600, 0);
  EXPECT_EQ(call.operation, ShmOperation::kShmget);
  EXPECT_EQ(call.key, -1);
  EXPECT_EQ(call.size_bytes, 0xfffff000U) << "the size is unsigned: ipc(2) takes an int";
  EXPECT_EQ(call.shmflg, 01600);
}

// compat_ipc_parse_version().
TEST(DecodeTest, IpcShmctlCarriesTheVersion) {
  const ShmCall modern = ipc(SHMCTL, 3, 0x102, 0, 0x2000);
  EXPECT_EQ(modern.operation, ShmOperation::kShmctl);
  EXPECT_EQ(modern.shmid, 3);
  EXPECT_EQ(modern.command, 2);
  EXPECT_EQ(modern.version, IpcVersion::kIpc64);
  EXPECT_EQ(modern.address, 0x2000U);
  const ShmCall old = ipc(SHMCTL, 3, 2, 0, 0x2000);
  EXPECT_EQ(old.command, 2);
  EXPECT_EQ(old.version, IpcVersion::kOld);
  EXPECT_LT(ipc(SHMCTL, 3, 0xffffffff, 0, 0).command, 0) << "still negative without the bit";
}

// The upper half of ipc(2)'s first argument is a version, of which only shmat's 1 counts.
TEST(DecodeTest, IpcVersions) {
  const auto ibcs2 = decode({Abi::kI386, *kI386Calls.ipc, {0x1'0000 | SHMAT, 0, 0, 0, 0, 0}});
  ASSERT_FALSE(ibcs2);
  EXPECT_EQ(ibcs2.error(), Errno(EINVAL));
  EXPECT_EQ(ipc(0x2'0000 | SHMAT, 3, 0, 0, 0).operation, ShmOperation::kShmat);
  EXPECT_EQ(ipc(0x1'0000 | SHMDT, 3, 0, 0, 0).operation, ShmOperation::kShmdt);
  EXPECT_EQ(ipc(0x1'0000 | SHMGET, 3, 0, 0, 0).operation, ShmOperation::kShmget);
  EXPECT_EQ(ipc(0xffff'0000 | SHMCTL, 3, 0, 0, 0).operation, ShmOperation::kShmctl);
  EXPECT_EQ(ipc(kJunk | SHMDT, 0, 0, 0, 0x1000).operation, ShmOperation::kShmdt);
}

TEST(DecodeTest, WhatIsNotOursIsEnosys) {
  for (const RawCall& raw :
       {RawCall{Abi::kX86_64, kX86_64Calls.shmget - 1, {}},
        RawCall{Abi::kX86_64, *kI386Calls.ipc, {SHMAT}},
        RawCall{Abi::kX86_64, kI386Calls.shmget, {}}, RawCall{Abi::kX86_64, -1, {}},
        RawCall{Abi::kI386, kX86_64Calls.shmget, {}}, RawCall{Abi::kI386, kX86_64Calls.shmdt, {}},
        RawCall{Abi::kI386, kI386Calls.shmget - 1, {}},
        RawCall{Abi::kI386, *kI386Calls.ipc, {MSGCTL}}, RawCall{Abi::kI386, *kI386Calls.ipc, {25}},
        RawCall{Abi::kI386, *kI386Calls.ipc, {0}}}) {
    const auto call = decode(raw);
    ASSERT_FALSE(call) << "number " << raw.number;
    EXPECT_EQ(call.error(), Errno(ENOSYS));
  }
}

}  // namespace
}  // namespace shmvisor
