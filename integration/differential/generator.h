// Generator: a sequence from a seed, the same on every machine.
//
// There are few identifiers, keys, pages and workers, so that operations meet. Each seed has a mood
// of its own: some kinds never come, others come often.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"

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
  /// SplitMix64.
  std::uint64_t random();
  std::uint64_t below(std::uint64_t bound) { return random() % bound; }
  bool percent(unsigned chance) { return below(100) < chance; }
  std::int64_t one_of(std::initializer_list<std::int64_t> values);

  void choose_mood();
  [[nodiscard]] Kind next_kind();
  /// Adds it, unless it is about a worker that is not there.
  void add(Operation operation);
  void add_random();
  void observe(int worker);
  void observe_all();
  [[nodiscard]] bool fill(Operation& operation);
  [[nodiscard]] int random_runner();

  void fill_shmget(Operation& operation);
  void fill_shmat(Operation& operation);
  void fill_shmctl(Operation& operation);
  void fill_mremap(Operation& operation);
  void fill_range(Operation& operation);
  [[nodiscard]] bool fill_new_worker(Operation& operation);
  [[nodiscard]] bool fill_end(Operation& operation);
  void fill_credentials(Operation& operation);
  void fill_limit(Operation& operation);
  [[nodiscard]] Operand identifier();
  [[nodiscard]] Operand page_in_window();
  [[nodiscard]] Operand odd_address();
  [[nodiscard]] Operand bad_buffer();
  [[nodiscard]] Operand user(bool real);
  [[nodiscard]] Operand mode();

  std::uint64_t state_;
  const GeneratorOptions options_;
  std::vector<unsigned> weights_;
  int most_workers_ = 1;
  int last_segment_ = 0;
  ProcessTable table_;
  Sequence sequence_;
};

}  // namespace shmvisor
