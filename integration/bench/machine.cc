#include "integration/bench/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <sstream>

#include "integration/bench/launched.h"

namespace shmvisor {
namespace {

constexpr rlim_t kDescriptors = 131072;  // several for each of 32,768 segments

/// What follows the colon in the first line of `path` that begins with `field`.
std::string field_of(const char* path, const std::string& field) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (line.rfind(field, 0) != 0 || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string one; words >> one;) {
    if (one == word) return true;
  }
  return false;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

std::string memory_size() {
  const std::string kib = field_of("/proc/meminfo", "MemTotal");
  return kib.empty() ? kib : std::to_string(std::stoull(kib) / 1024) + " MiB";
}

std::string version_of(const std::string& shmvisor) {
  const Finished finished = run_to_end({shmvisor, "--version"}, std::chrono::seconds(10));
  return finished.ok() ? finished.output.substr(0, finished.output.find('\n'))
                       : "cannot be run: " + finished.complaint();
}

}  // namespace

Facts machine_facts(const std::string& shmvisor) {
  utsname name{};
  ::uname(&name);
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  const bool virtual_machine = has_word(field_of("/proc/cpuinfo", "flags"), "hypervisor");
  Facts facts = {
      {"date", now_utc()},
      {"shmvisor", version_of(shmvisor)},
      {"kernel", name.release},
      {"processor",
       field_of("/proc/cpuinfo", "model name") + (virtual_machine ? ", in a virtual machine" : "")},
      {"cpus", std::to_string(cpu_count())},
      {"memory", memory_size()},
      {"user", std::to_string(::geteuid())},
      {"hard RLIMIT_NOFILE", std::to_string(descriptors.rlim_max)},
      {"store bypass", field_of("/proc/self/status", "Speculation_Store_Bypass")},
  };
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  return facts;
}

std::string load_average() {
  std::ifstream file("/proc/loadavg");
  std::string one;
  std::string five;
  std::string fifteen;
  file >> one >> five >> fifteen;
  return one + " " + five + " " + fifteen;
}

int cpu_count() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return CPU_COUNT(&set);
}

std::size_t raise_descriptor_limit() {
  const rlimit wished{kDescriptors, kDescriptors};
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max > kDescriptors || ::setrlimit(RLIMIT_NOFILE, &wished) != 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

}  // namespace shmvisor
