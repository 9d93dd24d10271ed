// FrozenGroup: a control group (v1) whose processes do not run, not even to take SIGKILL, until it
// is thawed; gone with this object.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace shmvisor {

class FrozenGroup {
 public:
  FrozenGroup() : there_(::mkdir(path_.c_str(), 0755) == 0) {}
  FrozenGroup(const FrozenGroup&) = delete;
  FrozenGroup& operator=(const FrozenGroup&) = delete;
  ~FrozenGroup() {
    thaw();
    // Until those in it have gone.
    for (int tries = 0; there_ && ::rmdir(path_.c_str()) != 0 && tries < 1000; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  /// Whether this machine has such groups, and lets us make one.
  [[nodiscard]] bool there() const { return there_; }
  [[nodiscard]] bool take(pid_t pid) const { return write("cgroup.procs", std::to_string(pid)); }
  /// Whether all in it stand still, in good time. One in a ptrace-stop counts as such.
  [[nodiscard]] bool freeze() const {
    if (!write("freezer.state", "FROZEN")) return false;
    for (int looks = 0; looks < 2000; ++looks) {
      std::string state;
      std::ifstream(path_ + "/freezer.state") >> state;
      if (state == "FROZEN") return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  void thaw() const { (void)write("freezer.state", "THAWED"); }

 private:
  [[nodiscard]] bool write(const char* name, const std::string& text) const {
    std::ofstream file(path_ + "/" + name);
    file << text << std::flush;
    return file.good();
  }

  const std::string path_ = "/sys/fs/cgroup/freezer/shmvisor-test-" + std::to_string(::getpid());
  const bool there_;
};

}  // namespace shmvisor
