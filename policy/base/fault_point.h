// fault_point(): a place where the process may be told to die, for tests of what goes on after it.
//
// Built with SHMVISOR_FAULT_POINTS, SHMVISOR_FAULT=NAME:N[,NAME:N...] ends the process by SIGKILL
// at the Nth passage of the points of that name: once, since it and those that it clones count
// together. In all other builds nothing is left of it. Tests find the names by looking for
// fault_point("NAME") in the sources (integration/keeper/fault_points.py).
//
// Thread rule: any thread.
#pragma once

#ifdef SHMVISOR_FAULT_POINTS
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string_view>
#endif

namespace shmvisor {

#ifdef SHMVISOR_FAULT_POINTS

class FaultPlan {
 public:
  /// Made before the process has clones, which share the counts.
  FaultPlan() {
    const char* const text = std::getenv("SHMVISOR_FAULT");
    if (text == nullptr) return;
    std::string_view rest = text;
    while (!rest.empty() && faults_ != faults_of_all_.size()) {
      const std::string_view one = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      const auto colon = one.find(':');
      Fault& fault = faults_of_all_.at(faults_++);
      fault.name = one.substr(0, colon);
      if (colon != std::string_view::npos) {
        fault.due = std::strtoul(one.data() + colon + 1, nullptr, 10);
      }
    }
    void* const page =
        ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) counts_ = new (page) Counts();
  }

  void pass(std::string_view name) {
    if (counts_ == nullptr) return;
    for (std::size_t at = 0; at < faults_; ++at) {
      const Fault& fault = faults_of_all_.at(at);
      if (fault.name != name || counts_->at(at).fetch_add(1) + 1 != fault.due) continue;
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    }
  }

 private:
  static constexpr std::size_t kMost = 8;
  using Counts = std::array<std::atomic<unsigned long>, kMost>;
  struct Fault {
    std::string_view name;
    unsigned long due = 1;
  };

  std::array<Fault, kMost> faults_of_all_;
  std::size_t faults_ = 0;
  Counts* counts_ = nullptr;
};

inline FaultPlan fault_plan;
inline void fault_point(std::string_view name) { fault_plan.pass(name); }

#else

inline constexpr void fault_point(const char* /*name*/) {}

#endif

}  // namespace shmvisor
