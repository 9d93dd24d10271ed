// OperandFiller: the operands of an operation of a given kind, by chance.
//
// There are few identifiers, keys, pages and workers, so that operations meet.
#pragma once

#include <cstddef>

#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"
#include "integration/differential/random_source.h"

namespace shmvisor {

class OperandFiller {
 public:
  /// `table`: of the workers as they are before the operation.
  OperandFiller(RandomSource& random, const ProcessTable& table) : random_(random), table_(table) {}

  /// So many workers at most are alive at a time.
  void set_most_workers(int most) { most_workers_ = most; }
  /// False where there is no such operation now. `step`: its place in the sequence.
  [[nodiscard]] bool fill(Operation& operation, std::size_t step);
  /// The name of the segment that was made last.
  [[nodiscard]] int last_segment() const { return last_segment_; }

 private:
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

  RandomSource& random_;
  const ProcessTable& table_;
  int most_workers_ = 1;
  int last_segment_ = 0;
};

}  // namespace shmvisor
