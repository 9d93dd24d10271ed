// The numbers of emulation/abi, against the headers of the kernel that this is built with.
#include "emulation/abi/call_numbers.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

// The two headers of numbers give their macros the same names: what one says is kept before the
// other is included.
#include <asm/unistd_64.h>
namespace {
constexpr int kNative[] = {__NR_shmget, __NR_shmat,   __NR_shmdt, __NR_shmctl,
                           __NR_clone,  __NR_unshare, __NR_setns};
}  // namespace
#undef __NR_shmget
#undef __NR_shmat
#undef __NR_shmdt
#undef __NR_shmctl
#undef __NR_clone
#undef __NR_unshare
#undef __NR_setns
#include <asm/unistd_32.h>
namespace {
constexpr int kNarrow[] = {__NR_shmget, __NR_shmat,   __NR_shmdt, __NR_shmctl,
                           __NR_clone,  __NR_unshare, __NR_setns};
}  // namespace

namespace shmvisor {
namespace {

void expect_numbers(const CallNumbers& ours, const int (&kernels)[7]) {
  EXPECT_EQ(ours.shmget, kernels[0]);
  EXPECT_EQ(ours.shmat, kernels[1]);
  EXPECT_EQ(ours.shmdt, kernels[2]);
  EXPECT_EQ(ours.shmctl, kernels[3]);
  EXPECT_EQ(ours.clone, kernels[4]);
  EXPECT_EQ(ours.unshare, kernels[5]);
  EXPECT_EQ(ours.setns, kernels[6]);
}

TEST(CallNumbersTest, AreTheKernels) {
  expect_numbers(call_numbers(Abi::kX86_64), kNative);
  expect_numbers(call_numbers(Abi::kI386), kNarrow);
  EXPECT_EQ(call_numbers(Abi::kX86_64).ipc, std::nullopt);
  EXPECT_EQ(call_numbers(Abi::kI386).ipc, __NR_ipc);
}

TEST(CallNumbersTest, ArchitecturesAreTheKernels) {
  EXPECT_EQ(audit_architecture(Abi::kX86_64), unsigned{AUDIT_ARCH_X86_64});
  EXPECT_EQ(audit_architecture(Abi::kI386), unsigned{AUDIT_ARCH_I386});
  EXPECT_EQ(abi_of_architecture(AUDIT_ARCH_X86_64), Abi::kX86_64);
  EXPECT_EQ(abi_of_architecture(AUDIT_ARCH_I386), Abi::kI386);
  EXPECT_EQ(abi_of_architecture(AUDIT_ARCH_AARCH64), std::nullopt);
}

}  // namespace
}  // namespace shmvisor
