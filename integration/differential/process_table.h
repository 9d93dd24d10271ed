// ProcessTable: who is there while a sequence runs, and who shares what.
//
// It follows from the operations alone, not from what the calls answered, so the generator, the
// interpreter and the comparison all see the same. A worker is a task: a process of its own, or a
// thread of one, or a process that shares another's address space.
#pragma once

#include <array>
#include <vector>

#include "integration/differential/operation.h"

namespace shmvisor {

class ProcessTable {
 public:
  struct Worker {
    bool alive = false;
    int process = 0;        ///< numbered as they come, never again; threads share it
    int space = 0;          ///< the address space, numbered likewise
    int stack = 0;          ///< 0 is the main stack; others are handed out within a space
    int suspended_by = -1;  ///< the vfork child it waits for; -1 when it runs
    bool leader = false;    ///< its thread id is the process id
  };

  struct Effects {
    std::vector<int> died;
    std::vector<int> resumed;
    std::vector<int> ended_processes;
    std::vector<int> ended_spaces;
  };

  ProcessTable();

  [[nodiscard]] const Worker& worker(int index) const {
    return workers_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] bool alive(int index) const { return worker(index).alive; }
  /// Alive, and not waiting for a vfork child.
  [[nodiscard]] bool runs(int index) const {
    return alive(index) && worker(index).suspended_by < 0;
  }
  [[nodiscard]] int count_alive() const;
  /// The lowest worker that is not there; -1 where all are.
  [[nodiscard]] int free_worker() const;
  /// Whether a process has this worker only.
  [[nodiscard]] bool last_of_process(int index) const;

  [[nodiscard]] bool applicable(const Operation& operation) const;
  /// Precondition: applicable(operation).
  Effects apply(const Operation& operation);

 private:
  Worker& at(int index) { return workers_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] bool space_used(int space) const;
  [[nodiscard]] bool process_used(int process) const;
  [[nodiscard]] int free_stack(int space) const;
  void begin(const Operation& operation);
  void die(int index, Effects& effects);

  std::array<Worker, kMaxWorkers> workers_{};
  int processes_ = 1;
  int spaces_ = 1;
};

}  // namespace shmvisor
