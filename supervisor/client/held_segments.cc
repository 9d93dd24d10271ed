#include "supervisor/client/held_segments.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include "supervisor/attaches/memory_map.h"
#include "supervisor/client/ask_in_parts.h"
#include "supervisor/client/bounded_look.h"
#include "supervisor/procfs/process_name.h"
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

/// Whether `pid` descends from `ancestor`; a pid that has no parent any more does not.
bool descends(pid_t pid, pid_t ancestor) {
  constexpr int kDeepest = 4096;
  for (int depth = 0; pid > 1 && depth < kDeepest; ++depth) {
    const auto status = TaskStatus::read(pid);
    if (!status) return false;
    pid = status->ppid;
    if (pid == ancestor) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<SupervisedProcess>, Problem> fetch_processes(RunConnection& run,
                                                                const std::vector<Json>& segments) {
  if (!run.hello().has_our_pids()) {
    return Problem{"the run " + run.hello().title() +
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
  std::set<pid_t> seen;
  const bool run_has_descendants = run.hello().kind == "run";
  for (const Json& session : sessions) {
    for (const Json& pid : session.at("pids")) {
      SupervisedProcess process;
      process.pid = pid.get<pid_t>();
      process.session = session.at("name").get<std::string>();
      // Containers that have no cgroup of their own may have the same processes.
      if (!seen.insert(process.pid).second) continue;
      if (process.pid == run.hello().pid || process.pid == ::getpid()) continue;
      if (!look_at(process, bounded, by_file)) continue;
      if (!process.held.empty()) {
        process.session = process.held.front().segment.at("registry").get<std::string>();
      }
      process.certain =
          !run_has_descendants || !process.held.empty() || descends(process.pid, run.hello().pid);
      processes.push_back(std::move(process));
    }
  }
  std::ranges::stable_sort(processes, {}, &SupervisedProcess::pid);
  return processes;
}

std::string command_of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  return ::access(folder.c_str(), F_OK) == 0 ? process_name(pid) : std::string();
}

}  // namespace shmvisor::client
