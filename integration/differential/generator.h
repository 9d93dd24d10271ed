// Generator: a sequence from a seed, the same on every machine.
//
// Each seed has a mood of its own: some kinds never come, others come often. What operands each has
// is OperandFiller's.
#pragma once

#include <cstdint>
#include <vector>

#include "integration/differential/operand_filler.h"
#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"
#include "integration/differential/random_source.h"

namespace shmvisor {

struct GeneratorOptions {
  std::size_t steps = 200;
  bool namespaces = false;  ///< unshare and setns
  bool sysctl = false;      ///< changes of the limits
  bool proc_table = false;  ///< looks at /proc/sysvipc/shm
  bool ticks = false;       ///< waits for the next second now and then
};

class Generator {
 public:
  Generator(std::uint64_t seed, const GeneratorOptions& options);

  /// To be called once.
  [[nodiscard]] Sequence generate();

 private:
  void choose_mood();
  [[nodiscard]] Kind next_kind();
  /// Adds it, unless it is about a worker that is not there.
  void add(Operation operation);
  void add_random();
  void observe(int worker);
  void observe_all();
  [[nodiscard]] int random_runner();

  RandomSource random_;
  const GeneratorOptions options_;
  std::vector<unsigned> weights_;
  ProcessTable table_;
  OperandFiller filler_{random_, table_};
  Sequence sequence_;
};

}  // namespace shmvisor
