// Who executed a program: ProofOfOrigin.
#include "supervisor/keeper/proof_of_origin.h"

#include <endian.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>

#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};

/// A file that gives its program these; -1 where none may here.
int file_that_gives(std::uint64_t capabilities) {
  const int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
  vfs_cap_data data{};
  data.magic_etc = htole32(VFS_CAP_REVISION_2);
  data.data[0].permitted = htole32(static_cast<std::uint32_t>(capabilities));
  data.data[1].permitted = htole32(static_cast<std::uint32_t>(capabilities >> 32));
  if (::fsetxattr(file, "security.capability", &data, sizeof(data), 0) == 0) return file;
  ::close(file);
  return -1;
}

TEST(ProofOfOriginTest, AFileThatGivesAllThatIsPermittedHasItInheritable) {
  const UniqueFd file(file_that_gives(kAll));
  if (!file.valid()) GTEST_SKIP() << "no file may give capabilities here";
  EXPECT_EQ(capabilities_of_file(file.get()) & permitted_capabilities(), permitted_capabilities());
  const auto before = inheritable_capabilities();
  {
    const ProofOfOrigin proof(file.get());
    EXPECT_EQ(inheritable_capabilities(), before | permitted_capabilities());
  }
  EXPECT_EQ(inheritable_capabilities(), before);
}

TEST(ProofOfOriginTest, AFileThatGivesLessHasNoProof) {
  if (permitted_capabilities() == 0) GTEST_SKIP() << "this process has no capability";
  const auto before = inheritable_capabilities();
  const UniqueFd less(file_that_gives(permitted_capabilities() & (permitted_capabilities() - 1)));
  const UniqueFd none(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  EXPECT_EQ(capabilities_of_file(none.get()), 0U);
  for (const int file : {less.get(), none.get()}) {
    const ProofOfOrigin proof(file);
    EXPECT_EQ(inheritable_capabilities(), before);
  }
}

TEST(ProofOfOriginTest, WhatIsNoCapabilityChangesNothing) {
  const auto before = inheritable_capabilities();
  constexpr std::uint64_t kNone = 1ULL << 63;
  set_inheritable_capabilities(before | kNone);
  EXPECT_EQ(inheritable_capabilities(), before);
}

TEST(ProofOfOriginTest, AProgramWithoutRightsOfItsFileIsAnEquals) {
  EXPECT_TRUE(is_begun_by_equal());
}

}  // namespace
}  // namespace shmvisor
