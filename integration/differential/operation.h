// Operation: one step of a sequence, and its readable text.
//
// A sequence is a list of operations of several workers (processes and threads), one a line:
//
//   p0 shmget 0x1 0x3000 IPC_CREAT|0600 -> s1
//   p0 shmat s1 w2+0x1000 SHM_RND -> a0
//   p0 fork p1
//
// pN is a worker, sN the identifier a shmget stored last under that name, aN the address a shmat or
// mremap stored, wN a fixed window of address space that nothing else uses, uN a user of the run's
// own, buf a buffer that is always good. Numbers are C's. Lines that begin with # are comments.
//
// Any list of operations can be executed: what makes no sense (a step of a worker that is not
// there) is skipped, the same way in every run. So a sequence can be cut down at will.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shmvisor {

constexpr int kMaxWorkers = 8;
constexpr int kSegmentNames = 8;
constexpr int kAttachNames = 8;
constexpr int kWindows = 8;
constexpr int kUsers = 4;
/// Its number among the sysctls of Argument::kSysctlName.
constexpr std::int64_t kShmRmidForced = 3;

enum class Kind : std::uint8_t {
  // The four calls.
  kShmget,
  kShmat,
  kShmdt,
  kShmctl,
  kChurn,
  // What is seen through memory and in /proc.
  kRead,
  kWrite,
  kMaps,
  kStatus,
  kProcTable,
  // The address space.
  kMprotect,
  kMunmap,
  kMremap,
  kMmap,
  kRemapFilePages,
  kMlock,
  kMunlock,
  kMlockall,
  kMunlockall,
  kMadvise,
  // Processes.
  kFork,
  kVfork,
  kCloneVm,
  kThread,
  kExec,
  kExit,
  kExitThread,
  kKill,
  // Who is asking.
  kSetresuid,
  kSetresgid,
  kSetfsgid,
  kSetgroups,
  kCapset,
  kSetrlimit,
  kDumpable,
  kChroot,
  // IPC namespaces, limits, time.
  kUnshareIpc,
  kSetnsIpc,
  kSysctl,
  kTick,
};

/// How an operand is written; `kNumber` in hexadecimal unless it has names.
enum class Argument : std::uint8_t {
  kNone,
  kNumber,
  kDecimal,
  kGetFlags,
  kAtFlags,
  kCommand,
  kProtection,
  kMremapFlags,
  kMapFlags,
  kMlockallFlags,
  kAdvice,
  kResource,
  kCapabilities,
  kSysctlName,
};

enum class Base : std::uint8_t { kNumber, kSegment, kAttach, kWindow, kUser, kWorker, kBuffer };

struct Operand {
  Base base = Base::kNumber;
  int index = 0;
  std::int64_t offset = 0;  ///< of the base; the value of a number

  static Operand number(std::int64_t value) { return {Base::kNumber, 0, value}; }
  static Operand segment(int index, std::int64_t offset = 0) {
    return {Base::kSegment, index, offset};
  }
  static Operand attach(int index, std::int64_t offset = 0) {
    return {Base::kAttach, index, offset};
  }
  static Operand window(int index, std::int64_t offset = 0) {
    return {Base::kWindow, index, offset};
  }
  static Operand user(int index) { return {Base::kUser, index, 0}; }
  static Operand worker(int index) { return {Base::kWorker, index, 0}; }
  static Operand buffer() { return {Base::kBuffer, 0, 0}; }

  friend bool operator==(const Operand&, const Operand&) = default;
};

constexpr std::size_t kMostOperands = 6;

struct KindInfo {
  Kind kind;
  std::string_view name;
  Base stores;   ///< kSegment or kAttach where the result is kept; kNumber where it is not
  long syscall;  ///< the number where the worker just makes this call with the operands; else -1
  std::array<Argument, kMostOperands> arguments;

  [[nodiscard]] std::size_t argument_count() const;
};

[[nodiscard]] const KindInfo& info_of(Kind kind);

struct Operation {
  Kind kind = Kind::kMaps;
  int worker = 0;
  std::array<Operand, kMostOperands> operands{};
  int store = -1;  ///< index of the name that keeps the result; -1 for none

  /// The worker that a fork, thread or kill is about; -1 for other kinds.
  [[nodiscard]] int target() const;
  friend bool operator==(const Operation&, const Operation&) = default;
};

using Sequence = std::vector<Operation>;

[[nodiscard]] std::string to_text(const Operation& operation);
[[nodiscard]] std::string to_text(std::span<const Operation> sequence);
[[nodiscard]] std::optional<Operation> parse_operation(std::string_view line);
/// Nothing where a line cannot be understood; `bad_line` then holds it.
[[nodiscard]] std::optional<Sequence> parse_sequence(std::string_view text, std::string& bad_line);

}  // namespace shmvisor
