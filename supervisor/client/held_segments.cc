#include "supervisor/client/held_segments.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include "supervisor/attaches/memory_map.h"
#include "supervisor/client/ask_in_parts.h"
#include "supervisor/client/bounded_look.h"
#include "supervisor/procfs/process_name.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor::client {
namespace {

/// Shared with looks that may be lost.
using SegmentsByFile = std::unordered_map<FileIdentity, Json, FileIdentityHash>;
using KnownSegments = std::shared_ptr<const SegmentsByFile>;

/// As /proc/PID/maps shows it, proc(5).
HeldSegment as_held(const MappedArea& area, const Json& segment) {
  std::array<char, 40> range{};
  std::snprintf(range.data(), range.size(), "%08" PRIx64 "-%08" PRIx64, area.range.start,
                area.range.end());
  std::string rights;
  rights += area.access.read ? 'r' : '-';
  rights += area.access.write ? 'w' : '-';
  rights += area.access.execute ? 'x' : '-';
  rights += 's';
  return {range.data(), std::move(rights), area.file_offset_bytes, area.range.length, segment};
}

Result<void> look_at_maps(pid_t pid, KernelFeatures& features, const SegmentsByFile& by_file,
                          std::vector<HeldSegment>& held) {
  auto maps = MemoryMap::open(pid, features);
  if (!maps) return maps.error();
  for (std::uint64_t address = 0;;) {
    const auto area = maps->area_above(address, Areas::kShared);
    if (!area) return area.error();
    if (!*area) return {};
    const auto segment = by_file.find((*area)->file);
    if (segment != by_file.end()) held.push_back(as_held(**area, segment->second));
    address = (*area)->range.end();
  }
}

/// ESRCH where the process has ended.
Result<void> look_at(SupervisedProcess& process, BoundedLook& bounded,
                     const KnownSegments& by_file) {
  const auto status = TaskStatus::read(process.pid);
  if (!status) return status.error();
  process.uid = status->euid;
  process.command = process_name(process.pid);
  const auto held = std::make_shared<std::vector<HeldSegment>>();
  const auto looked = bounded.at(process.pid, [pid = process.pid, by_file, held] {
    KernelFeatures features;
    return look_at_maps(pid, features, *by_file, *held);
  });
  process.readable = looked.ok();
  if (looked) process.held = std::move(*held);
  return {};
}

/// Whose parent a process is; looked at once.
class Parents {
 public:
  /// Whether `pid` descends from one of these; a pid that has no parent any more does not.
  bool descends(pid_t pid, const std::set<pid_t>& ancestors) {
    constexpr int kDeepest = 4096;
    for (int depth = 0; pid > 1 && depth < kDeepest && !ancestors.empty(); ++depth) {
      pid = parent_of(pid);
      if (ancestors.contains(pid)) return true;
    }
    return false;
  }

 private:
  /// 0 where it has none.
  pid_t parent_of(pid_t pid) {
    const auto [known, is_new] = known_.try_emplace(pid, 0);
    if (is_new) {
      const auto status = TaskStatus::read(pid);
      if (status) known->second = status->ppid;
    }
    return known->second;
  }

  std::unordered_map<pid_t, pid_t> known_;
};

/// Where a process belongs.
struct Membership {
  std::string session;
  bool certain = false;  ///< no other process could pass for it
};

/// Of all that may belong to the run, by pid. Sessions tell some by the filters that they have, so
/// that one may be in the lists of several: it is of the one where that is certain.
std::map<pid_t, Membership> members_of(const RunConnection& run,
                                       const std::vector<Json>& sessions) {
  std::map<pid_t, Membership> members;
  Parents parents;
  const bool is_run = run.hello().kind == "run";
  for (const Json& session : sessions) {
    const Json& pids = session.at("pids");
    // Older ones do not tell how many are certain: all of an agent's.
    const std::size_t certain = session.value("certain", is_run ? 0 : pids.size());
    std::set<pid_t> ancestors;
    if (is_run) ancestors.insert(run.hello().pid);
    for (const Json& pid : session.value("ancestors", Json::array())) {
      if (pid.get<pid_t>() > 1) ancestors.insert(pid.get<pid_t>());
    }
    for (std::size_t place = 0; place < pids.size(); ++place) {
      const auto pid = pids[place].get<pid_t>();
      const auto [known, is_new] = members.try_emplace(pid);
      if (known->second.certain) continue;
      const bool is_certain = place < certain || parents.descends(pid, ancestors);
      if (is_new || is_certain) {
        known->second = {session.at("name").get<std::string>(), is_certain};
      }
    }
  }
  return members;
}

/// In seconds since 1970, as ctime.
std::int64_t began_at(const ProcessStat& process) {
  timespec now{};
  timespec since_boot{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const auto began = static_cast<std::int64_t>(process.started_ticks) / ::sysconf(_SC_CLK_TCK);
  return now.tv_sec - since_boot.tv_sec + began;
}

}  // namespace

Result<std::vector<SupervisedProcess>, Problem> fetch_processes(RunConnection& run,
                                                                const std::vector<Json>& segments) {
  if (!run.hello().has_our_pids()) {
    return Problem{run.hello().called() +
                   " is in another pid namespace: its processes have other pids there"};
  }
  std::vector<Json> sessions;
  const auto asked = ask_in_parts(run, "processes", "sessions", [&sessions](Json& part) {
    for (Json& session : part.at("sessions")) sessions.push_back(std::move(session));
  });
  if (!asked) return asked.error();
  SegmentsByFile files;
  for (const Json& segment : segments) {
    files[{segment.at("device").get<std::uint64_t>(), segment.at("inode").get<std::uint64_t>()}] =
        segment;
  }
  const auto by_file = std::make_shared<const SegmentsByFile>(std::move(files));
  BoundedLook bounded;
  std::vector<SupervisedProcess> processes;
  for (auto& [pid, membership] : members_of(run, sessions)) {
    if (pid == run.hello().pid || pid == ::getpid()) continue;
    SupervisedProcess process;
    process.pid = pid;
    process.session = membership.session;
    if (!look_at(process, bounded, by_file)) continue;
    if (!process.held.empty()) {
      process.session = process.held.front().segment.at("registry").get<std::string>();
    }
    process.certain = membership.certain || !process.held.empty();
    processes.push_back(std::move(process));
  }
  return processes;
}

std::string creator_of(const Json& segment, bool has_our_pids) {
  if (!has_our_pids || segment.value("awaits_first_user", false)) return "?";
  const auto pid = segment.at("cpid").get<pid_t>();
  const auto process = ProcessStat::read(pid);
  if (!process || began_at(*process) > segment.at("ctime").get<std::int64_t>() + 1) return "ended";
  return as_one_word(process_name(pid));
}

}  // namespace shmvisor::client
