#include "supervisor/scope/control_group.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

#include "policy/base/shortage.h"
#include "policy/base/unique_fd.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Cgroups may be nested; who may make them could do so without end.
constexpr int kMostLevels = 32;

/// One line of /proc/PID/cgroup: "4:memory:/path", and "0::/path" for version 2.
struct Membership {
  std::string controllers;  ///< empty for version 2
  std::string path;
};

std::vector<Membership> memberships(pid_t pid) {
  std::vector<Membership> found;
  const auto text = read_proc_file(pid, "cgroup");
  if (!text) return found;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    found.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return found;
}

bool same_or_below(std::string_view path, std::string_view above) {
  if (above == "/") return true;
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
}

/// proc(5): blanks and the like appear as \ooo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

/// Where in our mount namespace the folder of a membership is; empty where nowhere.
std::string folder_of(const Membership& membership) {
  const bool unified = membership.controllers.empty();
  const std::string controller = membership.controllers.substr(0, membership.controllers.find(','));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    // id parent device root mount-point options optional-fields... - type source super-options
    std::istringstream fields(line);
    std::string skipped;
    std::string root;
    std::string point;
    fields >> skipped >> skipped >> skipped >> root >> point;
    while (fields >> skipped && skipped != "-") {
    }
    std::string type;
    std::string options;
    fields >> type >> skipped >> options;
    if (type != (unified ? "cgroup2" : "cgroup")) continue;
    if (!unified && !has_word(options, controller)) continue;
    root = unescape(root);
    if (!same_or_below(membership.path, root)) continue;
    const std::string inside = root == "/" ? membership.path : membership.path.substr(root.size());
    std::string folder = unescape(point) + inside;
    if (::access((folder + "/cgroup.procs").c_str(), R_OK) == 0) return folder;
  }
  return {};
}

/// A cgroup that is gone has no processes; of one that we may not look at nothing is known.
Result<void> unless_gone(Errno error) {
  if (is_shortage(error)) return error;
  return {};
}

Result<void> append_listed(const std::string& folder, std::vector<pid_t>& pids) {
  const UniqueFd list(::open((folder + "/cgroup.procs").c_str(), O_RDONLY | O_CLOEXEC));
  if (!list.valid()) return unless_gone(Errno::current());
  const auto text = read_to_end(list.get());
  if (!text) return unless_gone(text.error());
  std::istringstream numbers(*text);
  for (pid_t pid = 0; numbers >> pid;) {
    if (pid != 0) pids.push_back(pid);  // 0: not in our pid namespace
  }
  return {};
}

Result<void> append_below(const std::string& folder, int levels, std::vector<pid_t>& pids) {
  if (const auto listed = append_listed(folder, pids); !listed || levels == 0) return listed;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), &::closedir);
  if (entries == nullptr) return unless_gone(Errno::current());
  while (const dirent* entry = ::readdir(entries.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    const auto below = append_below(folder + "/" + entry->d_name, levels - 1, pids);
    if (!below) return below;
  }
  return {};
}

}  // namespace

std::optional<ControlGroup> ControlGroup::of(pid_t pid) {
  const std::vector<Membership> ours = memberships(getpid());
  for (const Membership& theirs : memberships(pid)) {
    const bool holds_us = std::any_of(ours.begin(), ours.end(), [&](const Membership& our) {
      return our.controllers == theirs.controllers && same_or_below(our.path, theirs.path);
    });
    if (holds_us || theirs.path.starts_with("/..")) continue;
    std::string folder = folder_of(theirs);
    if (!folder.empty()) return ControlGroup(std::move(folder));
  }
  return std::nullopt;
}

std::optional<ControlGroup> ControlGroup::limiting_memory_of(pid_t pid) {
  std::vector<Membership> all = memberships(pid);
  // Where version 1 has the memory controller, version 2 has not.
  const auto has_memory = [](const Membership& one) { return has_word(one.controllers, "memory"); };
  auto found = std::find_if(all.begin(), all.end(), has_memory);
  if (found == all.end()) {
    found = std::find_if(all.begin(), all.end(),
                         [](const Membership& one) { return one.controllers.empty(); });
  }
  if (found == all.end()) return std::nullopt;
  std::string folder = folder_of(*found);
  if (folder.empty()) return std::nullopt;
  return ControlGroup(std::move(folder));
}

bool ControlGroup::contains(const ControlGroup& other) const {
  return same_or_below(other.path_, path_);
}

Result<void> ControlGroup::append_processes(std::vector<pid_t>& pids) const {
  return append_below(path_, kMostLevels, pids);
}

}  // namespace shmvisor
