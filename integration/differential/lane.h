// Lane: executes sequences one after another, both ways, on one CPU, and reports what diverges.
// Several lanes, processes of their own, share the work through Shared.
#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "integration/differential/comparison.h"
#include "integration/differential/generator.h"
#include "integration/differential/test_bed.h"

namespace shmvisor {

struct LaneOptions {
  /// This program, as others on the machine see it.
  pid_t program = 0;
  std::string interpreter;
  std::string shmvisor;
  GeneratorOptions generator;
  std::uint64_t first_seed = 1;
  std::uint64_t last_seed = 1;
  /// Files with sequences, instead of seeds.
  std::vector<std::string> replays;
  std::set<std::string> disabled_exclusions;
  /// Replays shall diverge.
  bool expect_divergence = false;
  bool minimise = true;
  bool show_transcripts = false;
  /// Distinct divergences after which everything stops.
  std::uint64_t most_divergences = 1;

  [[nodiscard]] std::uint64_t job_count() const {
    return replays.empty() ? last_seed - first_seed + 1 : replays.size();
  }
};

/// In memory that all lanes share; starts as zeros.
struct Shared {
  static constexpr std::size_t kMostExclusions = 16;
  static constexpr std::size_t kMostSignatures = 256;

  std::atomic<std::uint64_t> next_job;
  std::atomic<std::uint64_t> sequences;
  std::atomic<std::uint64_t> operations;
  std::atomic<std::uint64_t> native_nanoseconds;
  std::atomic<std::uint64_t> supervised_nanoseconds;
  std::atomic<std::uint64_t> diverging_sequences;
  std::atomic<std::uint64_t> native_contradictions;  ///< sequences, none of the diverging ones
  std::atomic<std::uint64_t> distinct_divergences;
  std::atomic<std::uint64_t> failures;  ///< a lane could not work
  std::atomic<std::uint64_t> excused[kMostExclusions];
  std::atomic<std::uint64_t> signatures[kMostSignatures];
};

class Lane {
 public:
  Lane(const LaneOptions& options, Shared& shared, int number);

  /// Precondition: see TestBed.
  void work();

 private:
  struct Examined {
    Comparison comparison;
    TestBed::Run native;
    TestBed::Run supervised;
  };

  [[nodiscard]] Examined examine(const Sequence& sequence);
  void work_on(const Sequence& sequence, const std::string& name);
  /// Whether the kernel, asked again, answers as shmvisor did: what it answered at first depended
  /// on something outside of the sequence. A process that another one looks at in /proc, for
  /// instance, ends a moment before its memory does.
  [[nodiscard]] bool kernel_contradicts_itself(const Sequence& sequence, const Examined& examined);
  void report(const Sequence& sequence, const std::string& name, const Examined& examined);
  void count(const Examined& examined);
  /// Whether this signature is seen for the first time.
  [[nodiscard]] bool first_of(const std::string& signature);

  const LaneOptions& options_;
  Shared& shared_;
  TestBed bed_;
};

}  // namespace shmvisor
