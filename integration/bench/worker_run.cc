#include "integration/bench/worker_run.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "integration/bench/launched.h"

namespace shmvisor {
namespace {

std::vector<Outcome> numbers_printed(const Finished& finished, std::size_t count) {
  if (!finished.ok()) return {count, Outcome::none(finished.complaint())};
  std::istringstream output(finished.output);
  std::vector<Outcome> outcomes;
  for (double number = 0; outcomes.size() < count && output >> number;) {
    outcomes.push_back(Outcome::of(number));
  }
  outcomes.resize(count, Outcome::none("printed no number"));
  return outcomes;
}

}  // namespace

std::vector<std::string> worker_command(const Placement& placement, const std::string& name) {
  std::vector<std::string> command = placement.prefix;
  command.insert(command.end(),
                 {placement.self, "--worker", name, std::to_string(placement.budget.count())});
  if (placement.cooperate) command.emplace_back("--cooperate");
  return command;
}

Outcome run_worker_in(const Placement& placement, const std::string& name) {
  return run_worker_for(placement, name, 1).front();
}

std::vector<Outcome> run_worker_for(const Placement& placement, const std::string& name,
                                    std::size_t count) {
  return numbers_printed(run_to_end(worker_command(placement, name)), count);
}

Outcome run_start_in(const Placement& placement) {
  Placement outside = placement;
  outside.prefix.clear();
  std::vector<std::string> command = worker_command(outside, "start");
  command.insert(command.end(), placement.prefix.begin(), placement.prefix.end());
  command.emplace_back("true");
  return numbers_printed(run_to_end(command), 1).front();
}

bool on_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0;
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    folder.append("/").append(name);
    if (::access(folder.c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace shmvisor
