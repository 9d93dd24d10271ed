// BpfMachine: runs a classic BPF program over one seccomp_data, as kernel/seccomp.c would.
//
// Test-only. Strict where the kernel's verifier is: an instruction that it does not know, a load
// that is not an aligned word of seccomp_data, or a jump out of the program gives no result.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace shmvisor {

class BpfMachine {
 public:
  struct Verdict {
    std::uint32_t value = 0;  // SECCOMP_RET_*, with its data
    /// Whether the kernel's evaluation ahead of time (seccomp_is_const_allow) comes to the same:
    /// it gives up at a load of anything but the number and the architecture, and at arithmetic
    /// other than AND, and then runs the program at every call.
    bool cacheable = true;
  };

  explicit BpfMachine(std::span<const sock_filter> program) : program_(program) {}

  [[nodiscard]] std::optional<Verdict> run(const seccomp_data& data) const {
    Verdict verdict;
    std::uint32_t accumulator = 0;
    std::size_t next = 0;
    // Jumps only go forward, so this ends.
    while (next < program_.size()) {
      const sock_filter& instruction = program_[next++];
      switch (instruction.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          if (instruction.k % 4 != 0 || instruction.k > sizeof(data) - 4) return std::nullopt;
          std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + instruction.k, 4);
          if (instruction.k > offsetof(seccomp_data, arch)) verdict.cacheable = false;
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          accumulator &= instruction.k;
          break;
        case BPF_ALU | BPF_RSH | BPF_K:
          if (instruction.k >= 32) return std::nullopt;
          accumulator >>= instruction.k;
          verdict.cacheable = false;
          break;
        case BPF_JMP | BPF_JA:
          next += instruction.k;
          break;
        case BPF_JMP | BPF_JEQ | BPF_K:
          next += branch(instruction, accumulator == instruction.k);
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          next += branch(instruction, accumulator > instruction.k);
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          next += branch(instruction, accumulator >= instruction.k);
          break;
        case BPF_JMP | BPF_JSET | BPF_K:
          next += branch(instruction, (accumulator & instruction.k) != 0);
          break;
        case BPF_RET | BPF_K:
          verdict.value = instruction.k;
          return verdict;
        default:
          return std::nullopt;
      }
    }
    return std::nullopt;
  }

 private:
  static std::size_t branch(const sock_filter& instruction, bool taken) {
    return taken ? instruction.jt : instruction.jf;
  }

  std::span<const sock_filter> program_;
};

}  // namespace shmvisor
