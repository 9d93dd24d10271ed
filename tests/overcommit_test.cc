#include "supervisor/memory/overcommit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>

#include <cstdlib>
#include <fstream>
#include <optional>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::uint64_t all_memory_bytes() {
  struct sysinfo info {};
  ::sysinfo(&info);
  return (std::uint64_t{info.totalram} + info.totalswap) * info.mem_unit;
}

std::uint64_t virtual_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmSize:")) return std::stoull(line.substr(7));
  }
  return 0;
}

/// Runs `body` where vm.overcommit_memory reads as `mode`: in a mount namespace of its own, with a
/// file over the sysctl's. What the kernel itself does stays as it was.
class OvercommitTest : public ::testing::Test {
 protected:
  static constexpr int kCannot = 77;

  static void with_mode(const char* mode, const std::function<int()>& body) {
    char path[] = "/tmp/overcommit-XXXXXX";
    const UniqueFd file(::mkostemp(path, O_CLOEXEC));
    ASSERT_TRUE(file.valid());
    ASSERT_EQ(::write(file.get(), mode, 2), 2);
    Child child([&] {
      if (::unshare(CLONE_NEWNS) != 0 ||
          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount(path, "/proc/sys/vm/overcommit_memory", nullptr, MS_BIND, nullptr) != 0) {
        return kCannot;
      }
      return body();
    });
    const int status = exit_status_of(child);
    ::unlink(path);
    if (status == kCannot) GTEST_SKIP() << "no mount over /proc/sys to be had here";
    EXPECT_EQ(status, 0);
  }
  /// The errno of charging; 0 where it is charged.
  static int charge(std::uint64_t size_bytes, bool reserve) {
    const Overcommit overcommit;
    const auto charged = overcommit.charge(size_bytes, reserve);
    return charged ? 0 : charged.error().value();
  }
};

TEST_F(OvercommitTest, HeuristicRefusesMoreThanThereIs) {
  with_mode("0\n", [] {
    if (charge(kMiB, true) != 0) return 1;
    if (charge(all_memory_bytes(), true) != 0) return 2;
    if (charge(all_memory_bytes() + 4096, true) != ENOMEM) return 3;
    if (charge(all_memory_bytes() + 4096, false) != 0) return 4;
    return charge(std::uint64_t{1} << 62, false) == 0 ? 0 : 5;
  });
}

TEST_F(OvercommitTest, AlwaysRefusesNothing) {
  with_mode("1\n", [] {
    if (charge(all_memory_bytes() * 2, true) != 0) return 1;
    return charge(std::uint64_t{1} << 62, true) == 0 ? 0 : 2;
  });
}

TEST_F(OvercommitTest, HeuristicHoldsNothing) {
  with_mode("0\n", [] {
    const Overcommit overcommit;
    const std::uint64_t before = virtual_kib();
    const auto charged = overcommit.charge(64 * kMiB, true);
    return charged && virtual_kib() - before < 1024 ? 0 : 1;
  });
}

// The charge is a mapping of ours, with SHM_NORESERVE as well, and ends with it.
TEST_F(OvercommitTest, NeverIsChargedInFull) {
  with_mode("2\n", [] {
    const Overcommit overcommit;
    for (const bool reserve : {true, false}) {
      const std::uint64_t before = virtual_kib();
      {
        auto charged = overcommit.charge(64 * kMiB, reserve);
        if (!charged) return 1;
        if (virtual_kib() - before < 64 * 1024) return 2;
        CommitCharge moved = std::move(*charged);
        CommitCharge assigned;
        assigned = std::move(moved);
        if (virtual_kib() - before < 64 * 1024) return 3;
      }
      if (virtual_kib() - before > 1024) return 4;
    }
    return charge(std::uint64_t{1} << 60, true) == ENOMEM ? 0 : 5;
  });
}

TEST_F(OvercommitTest, TheModeIsReadEachTime) {
  with_mode("1\n", [] {
    const Overcommit overcommit;
    const UniqueFd sysctl(::open("/proc/sys/vm/overcommit_memory", O_WRONLY | O_CLOEXEC));
    const std::uint64_t too_much = all_memory_bytes() + 4096;
    if (!overcommit.charge(too_much, true)) return 1;
    if (::pwrite(sysctl.get(), "0", 1, 0) != 1) return 2;  // the file over it
    return overcommit.charge(too_much, true) ? 3 : 0;
  });
}

}  // namespace
}  // namespace shmvisor
