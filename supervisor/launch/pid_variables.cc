#include "supervisor/launch/pid_variables.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

constexpr long kPidfsMagic = 0x50494446;  // PID_FS_MAGIC of linux/magic.h, since 6.9

/// Before pidfs all pidfds shared one inode, which said nothing.
std::optional<std::uint64_t> own_pidfd_inode() {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  struct statfs system {};
  struct stat status {};
  if (!pidfd.valid() || ::fstatfs(pidfd.get(), &system) != 0 || system.f_type != kPidfsMagic ||
      ::fstat(pidfd.get(), &status) != 0) {
    return std::nullopt;
  }
  return status.st_ino;
}

}  // namespace

PidVariables::PidVariables(char* const* environment) {
  struct Known {
    std::string_view name_and_equals;
    Kind kind;
  };
  constexpr std::array<Known, 4> kKnown{{{"LISTEN_PID=", Kind::kPid},
                                         {"WATCHDOG_PID=", Kind::kPid},
                                         {"SYSTEMD_EXEC_PID=", Kind::kPid},
                                         {"LISTEN_PIDFDID=", Kind::kPidfdInode}}};
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view variable(*environment);
    for (const auto& [name, kind] : kKnown) {
      if (!variable.starts_with(name)) continue;
      const auto ours = kind == Kind::kPid ? std::optional(static_cast<std::uint64_t>(::getpid()))
                                           : own_pidfd_inode();
      const std::string_view text = variable.substr(name.size());
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size() || value != ours) continue;
      Variable& named = variables_.emplace_back();
      named.kind = kind;
      named.place = pointers_.size();
      named.prefix_bytes = name.copy(named.text.data(), named.text.size());
    }
    pointers_.push_back(*environment);
  }
  pointers_.push_back(nullptr);
}

char** PidVariables::renamed() const {
  for (Variable& variable : variables_) {
    const auto value = variable.kind == Kind::kPid
                           ? std::optional(static_cast<std::uint64_t>(::getpid()))
                           : own_pidfd_inode();
    if (!value) continue;
    char* const begin = variable.text.data() + variable.prefix_bytes;
    char* const end = variable.text.data() + variable.text.size() - 1;
    *std::to_chars(begin, end, *value).ptr = '\0';
    pointers_[variable.place] = variable.text.data();
  }
  return pointers_.data();
}

}  // namespace shmvisor
