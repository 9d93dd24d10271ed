#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"

namespace shmvisor {
namespace {

/// Mounted, of our process namespace, and not hiding our own children from us.
Finding probe_proc() {
  struct statfs status {};
  if (::statfs("/proc", &status) != 0) return Finding::no("statfs of /proc", Errno::current());
  if (status.f_type != PROC_SUPER_MAGIC) return Finding::no("another file system is on /proc");
  std::array<char, 32> target{};
  const ssize_t size = ::readlink("/proc/self", target.data(), target.size());
  if (size < 0) return Finding::no("readlink of /proc/self", Errno::current());
  if (std::string(target.data(), static_cast<std::size_t>(size)) != std::to_string(::getpid())) {
    return Finding::no("/proc is of another process namespace");
  }
  const IdleChild child;
  if (auto started = child.started(); !started) return Finding::no("fork", started.error());
  const std::string path = "/proc/" + std::to_string(child.pid()) + "/status";
  if (::access(path.c_str(), R_OK) != 0) return Finding::no("read of " + path, Errno::current());
  return Finding::yes();
}

std::string limit_name(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

Finding limit_note(decltype(RLIMIT_NOFILE) resource, std::string meaning) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return Finding::no("getrlimit", Errno::current());
  return Finding::note(
      "soft " + limit_name(limit.rlim_cur) + ", hard " + limit_name(limit.rlim_max),
      std::move(meaning));
}

Finding probe_nofile() {
  return limit_note(RLIMIT_NOFILE, "descriptors; every segment takes some of shmvisor's");
}

Finding probe_memlock() {
  return limit_note(RLIMIT_MEMLOCK, "bytes that a user without CAP_IPC_LOCK may lock");
}

Finding probe_inotify_instances() {
  std::ifstream file("/proc/sys/fs/inotify/max_user_instances");
  long instances = 0;
  if (!(file >> instances)) return Finding::note("unknown", "see inotify");
  return Finding::note(std::to_string(instances), "for all of this user's programs; we take one");
}

}  // namespace

std::vector<Probe> environment_probes() {
  using enum Probe::Need;
  return {
      {"proc", probe_proc, "callers cannot be looked at: mount proc on /proc in this namespace",
       kFatal},
      {"rlimit-nofile", probe_nofile, ""},
      {"rlimit-memlock", probe_memlock, ""},
      {"inotify-instances", probe_inotify_instances, ""},
  };
}

}  // namespace shmvisor
