// The fixture of tests of MemfdMemory.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "supervisor/memory/machine.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/memory/memory_room.h"
#include "supervisor/scope/descendant_scope.h"
#include "tests/supervised_child.h"

namespace shmvisor {

inline constexpr std::uint64_t kPage = kPageBytes;

class MemfdMemoryTest : public ::testing::Test {
 protected:
  MemfdMemoryTest() {
    spdlog::set_level(spdlog::level::off);
    // A sanitizer takes a look at the logger when it first sees it, and needs descriptors for that.
    spdlog::warn("seen");
  }

  std::unique_ptr<MemfdMemory> make(std::uint64_t pages = 4, const char* name = "SYSV000000ab") {
    BackingRequest request;
    request.name = name;
    request.size_bytes = pages * kPage;
    auto memory =
        MemfdMemory::create(request, request.size_bytes, MemoryCharges(), lock_keeper_, features_);
    EXPECT_TRUE(memory) << "errno " << (memory ? 0 : memory.error().value());
    return memory ? std::move(*memory) : nullptr;
  }
  static UniqueFd open(MemfdMemory& memory, const Access& access) {
    auto file = memory.open(access);
    EXPECT_TRUE(file);
    return file ? std::move(file->fd) : UniqueFd();
  }
  static char* map(int fd, std::uint64_t pages, int protection = PROT_READ | PROT_WRITE) {
    void* const address = ::mmap(nullptr, pages * kPage, protection, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? nullptr : static_cast<char*>(address);
  }
  static FileIdentity identity_of(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return {status.st_dev, status.st_ino};
  }
  static std::uint64_t status_kib(const std::string& field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1));
    }
    return 0;
  }

  /// Resident pages of our locked mappings of the file, in kB.
  static std::uint64_t locked_of(const FileIdentity& file) {
    std::ifstream smaps("/proc/self/smaps");
    std::uint64_t resident = 0;
    std::uint64_t sum = 0;
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
      unsigned long inode = 0;
      if (std::sscanf(line.c_str(), "%*x-%*x %*s %*x %*x:%*x %lu", &inode) == 1) {
        inside = inode == file.inode;
      } else if (inside && line.starts_with("Rss:")) {
        resident = std::stoull(line.substr(4));
      } else if (inside && line.starts_with("VmFlags:") && line.find(" lo") != std::string::npos) {
        sum += resident;
      }
    }
    return sum;
  }

  KernelFeatures features_;
  DescendantScope scope_{features_};
  LockKeeper lock_keeper_{std::chrono::milliseconds(5)};
};

}  // namespace shmvisor
