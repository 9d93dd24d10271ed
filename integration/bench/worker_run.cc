#include "integration/bench/worker_run.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "integration/bench/launched.h"

namespace shmvisor {
namespace {

Outcome number_printed(const Finished& finished) {
  if (!finished.ok()) return Outcome::none(finished.complaint());
  char* end = nullptr;
  const double value = std::strtod(finished.output.c_str(), &end);
  if (end == finished.output.c_str()) return Outcome::none("printed no number");
  return Outcome::of(value);
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
  return number_printed(run_to_end(worker_command(placement, name)));
}

Outcome run_start_in(const Placement& placement) {
  Placement outside = placement;
  outside.prefix.clear();
  std::vector<std::string> command = worker_command(outside, "start");
  command.insert(command.end(), placement.prefix.begin(), placement.prefix.end());
  command.emplace_back("true");
  return number_printed(run_to_end(command));
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
