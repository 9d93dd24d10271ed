#include "integration/differential/process_table.h"

#include <algorithm>

namespace shmvisor {

ProcessTable::ProcessTable() {
  at(0).alive = true;
  at(0).leader = true;
}

int ProcessTable::count_alive() const {
  return static_cast<int>(
      std::count_if(workers_.begin(), workers_.end(), [](const Worker& one) { return one.alive; }));
}

int ProcessTable::free_worker() const {
  for (int index = 0; index < kMaxWorkers; ++index) {
    if (!alive(index)) return index;
  }
  return -1;
}

bool ProcessTable::last_of_process(int index) const {
  return std::count_if(workers_.begin(), workers_.end(), [&](const Worker& one) {
           return one.alive && one.process == worker(index).process;
         }) == 1;
}

bool ProcessTable::space_used(int space) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const Worker& one) { return one.alive && one.space == space; });
}

bool ProcessTable::process_used(int process) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const Worker& one) { return one.alive && one.process == process; });
}

int ProcessTable::free_stack(int space) const {
  int stack = 1;
  while (std::any_of(workers_.begin(), workers_.end(), [&](const Worker& one) {
    return one.alive && one.space == space && one.stack == stack;
  })) {
    ++stack;
  }
  return stack;
}

bool ProcessTable::applicable(const Operation& operation) const {
  if (operation.kind == Kind::kTick) return true;
  if (operation.kind == Kind::kMaps || operation.kind == Kind::kStatus) {
    return alive(operation.worker);
  }
  if (!runs(operation.worker)) return false;
  const int target = operation.target();
  switch (operation.kind) {
    case Kind::kFork:
    case Kind::kVfork:
    case Kind::kCloneVm:
    case Kind::kThread:
      return target >= 0 && !alive(target);
    case Kind::kKill:
      // Whoever sends it goes on.
      return target >= 0 && alive(target) &&
             worker(target).process != worker(operation.worker).process;
    case Kind::kSetnsIpc:
      return target >= 0 && alive(target);
    default:
      return true;
  }
}

void ProcessTable::begin(const Operation& operation) {
  const Worker parent = worker(operation.worker);
  Worker child;
  child.alive = true;
  child.leader = operation.kind != Kind::kThread;
  child.process = operation.kind == Kind::kThread ? parent.process : processes_++;
  child.space = operation.kind == Kind::kFork ? spaces_++ : parent.space;
  child.stack = operation.kind == Kind::kFork ? parent.stack : free_stack(parent.space);
  at(operation.target()) = child;
  if (operation.kind == Kind::kVfork) at(operation.worker).suspended_by = operation.target();
}

void ProcessTable::die(int index, Effects& effects) {
  at(index).alive = false;
  effects.died.push_back(index);
  if (!process_used(worker(index).process)) {
    effects.ended_processes.push_back(worker(index).process);
  }
  if (!space_used(worker(index).space)) effects.ended_spaces.push_back(worker(index).space);
}

ProcessTable::Effects ProcessTable::apply(const Operation& operation) {
  Effects effects;
  const int self = operation.worker;
  const auto end_process = [&](int process, int except) {
    for (int index = 0; index < kMaxWorkers; ++index) {
      if (index != except && alive(index) && worker(index).process == process) die(index, effects);
    }
  };
  switch (operation.kind) {
    case Kind::kFork:
    case Kind::kVfork:
    case Kind::kCloneVm:
    case Kind::kThread:
      begin(operation);
      return effects;
    case Kind::kExit:
      end_process(worker(self).process, -1);
      break;
    case Kind::kKill:
      end_process(worker(operation.target()).process, -1);
      break;
    case Kind::kExitThread:
      die(self, effects);
      break;
    case Kind::kExec: {
      end_process(worker(self).process, self);
      const int old_space = worker(self).space;
      at(self).space = spaces_++;
      at(self).stack = 0;
      at(self).leader = true;
      if (!space_used(old_space)) effects.ended_spaces.push_back(old_space);
      break;
    }
    default:
      return effects;
  }
  for (int index = 0; index < kMaxWorkers; ++index) {
    const int by = worker(index).suspended_by;
    if (!alive(index) || by < 0) continue;
    const bool gone = std::find(effects.died.begin(), effects.died.end(), by) != effects.died.end();
    if (gone || (operation.kind == Kind::kExec && by == self)) {
      at(index).suspended_by = -1;
      effects.resumed.push_back(index);
    }
  }
  return effects;
}

}  // namespace shmvisor
