// Signals as bits of a thread's mask, as PTRACE_SETSIGMASK takes it, and which of them are faults.
//
// Thread rule: plain values.
#pragma once

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>

namespace shmvisor {

inline constexpr std::uint64_t kAllSignals = ~std::uint64_t{0};
inline constexpr std::array kFaultSignals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

constexpr std::uint64_t bit_of(int signal) { return std::uint64_t{1} << (signal - 1); }

constexpr std::uint64_t all_but_faults() {
  std::uint64_t mask = kAllSignals;
  for (const int signal : kFaultSignals) mask &= ~bit_of(signal);
  return mask;
}

constexpr bool is_fault_signal(int signal) {
  return std::ranges::find(kFaultSignals, signal) != kFaultSignals.end();
}

}  // namespace shmvisor
