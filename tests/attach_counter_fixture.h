// AttachCounterTest: an AttachCounter, a file that it counts, and the processes of a test.
#pragma once

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "emulation/abi/abi.h"
#include "supervisor/attaches/attach_counter.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/supervised_child.h"

namespace shmvisor {

inline constexpr std::size_t kPage = kPageBytes;

/// With kcmp(2), and by what /proc shows of a process that waits for its vfork child.
class AttachCounterTest : public ::testing::TestWithParam<bool> {
 protected:
  AttachCounterTest() : attach_counter_(features_, scope_) {
    if (!GetParam()) features_.mark_absent(KernelFeature::kKcmp);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    file_.reset(::memfd_create("counted", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file_.get(), 8 * kPage), 0);
    struct stat status {};
    EXPECT_EQ(::fstat(file_.get(), &status), 0);
    identity_ = {status.st_dev, status.st_ino};
  }
  ~AttachCounterTest() override {
    // Orphans of a test come to this process.
    const auto left = scope_.processes();
    for (const pid_t pid : *left) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0) {
    }
  }

  char* map_whole() {
    void* const address =
        ::mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    return address == MAP_FAILED ? nullptr : static_cast<char*>(address);
  }
  std::uint64_t count() {
    return attach_counter_.count_mappings({&identity_, 1})->of_files.front();
  }
  bool knows(pid_t pid) {
    const auto pids = scope_.processes();
    return std::find(pids->begin(), pids->end(), pid) != pids->end();
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  AttachCounter attach_counter_;
  UniqueFd file_;
  FileIdentity identity_;
  Gate ready_;
};

}  // namespace shmvisor
