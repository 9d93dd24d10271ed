// The worker: the program that is measured, natively and under each kind of supervision alike.
//
// `shmvisor-bench --worker NAME MILLISECONDS [--cooperate] [COMMAND...]` measures one thing inside
// itself for about that long and prints one number, in the unit of the workload of that name
// (nanoseconds for one operation where nothing else is said). Some measure several things, each for
// that long, because what they set up takes longer; they print one number for each, in lines. It
// ends with 1 and a sentence on standard error where it cannot.
//
// Thread rule: a table is filled before it is used.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace shmvisor {

struct WorkerSettings {
  std::chrono::nanoseconds budget{};
  /// Under the floor supervisor: its answers are descriptors to map.
  bool cooperate = false;
  std::vector<std::string> command;
};

using WorkerFunction = std::function<std::vector<double>(const WorkerSettings&)>;
using WorkerTable = std::map<std::string, WorkerFunction>;

/// Of a function that measures one thing.
template <typename Function>
WorkerFunction one_number(Function function) {
  return [function](const WorkerSettings& settings) -> std::vector<double> {
    return {function(settings)};
  };
}

void add_unrelated_calls(WorkerTable& table);
void add_shm_calls(WorkerTable& table);
void add_memory(WorkerTable& table);
void add_parallel_callers(WorkerTable& table);
void add_crowds(WorkerTable& table);
void add_idlers(WorkerTable& table);

/// `arguments`: what follows "--worker". The exit status.
int run_worker(const std::vector<std::string>& arguments);

/// Ends the worker with a sentence and errno.
[[noreturn]] void give_up(const char* what);

}  // namespace shmvisor
