#include "supervisor/client/run_finder.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "supervisor/control/control_options.h"
#include "supervisor/control/control_place.h"

namespace shmvisor::client {
namespace {

bool fits(const RunConnection::Hello& hello, const RunChoice& choice) {
  return (choice.name.empty() || hello.name == choice.name) &&
         (choice.pid == 0 || hello.pid == choice.pid);
}

std::string wanted(const RunChoice& choice) {
  std::string text = "no run";
  if (!choice.name.empty()) text += " is called '" + choice.name + "'";
  if (!choice.name.empty() && choice.pid != 0) text += " and";
  if (choice.pid != 0) text += " has pid " + std::to_string(choice.pid);
  return text;
}

std::string titles_of(const std::vector<RunConnection>& runs) {
  std::string titles;
  for (const RunConnection& run : runs) {
    titles += (titles.empty() ? "" : ", ") + run.hello().title();
  }
  return titles;
}

/// Whether a run of that name is by default at that path.
bool is_place_of(const std::string& name, const std::string& path) {
  return !name.empty() && path.ends_with("/" + name + ".control");
}

using Reached = std::pair<std::string, Result<RunConnection, Problem>>;

/// All known places, those of the chosen name first.
std::vector<Reached> reach_all(const RunChoice& choice) {
  auto paths = control::known_sockets();
  std::stable_partition(paths.begin(), paths.end(), [&choice](const std::string& path) {
    return is_place_of(choice.name, path);
  });
  std::vector<Reached> all;
  for (const std::string& path : paths) all.emplace_back(path, RunConnection::reach(path));
  return all;
}

}  // namespace

Result<RunConnection, Problem> find_run(const RunChoice& choice) {
  if (!choice.path.empty() && choice.path != ControlOptions::kAuto) {
    auto run = RunConnection::connect_to(choice.path);
    if (!run || fits(run->hello(), choice)) return run;
    return Problem{wanted(choice) + " at " + choice.path + ": there is " + run->hello().title()};
  }
  std::vector<RunConnection> fitting;
  std::vector<RunConnection> others;
  std::string silent;
  // One for all: a run that is stopped keeps clients of other runs waiting once.
  const auto deadline = std::chrono::steady_clock::now() + RunConnection::kHelloPatience;
  for (auto& [path, run] : reach_all(choice)) {
    const auto heard = run ? run->get_hello(deadline) : Result<void, Problem>(run.error());
    if (!heard) {
      // Of one that was killed, or that ends just now.
      if (heard.error().has_ended) continue;
      silent += (silent.empty() ? "" : "; ") + path + " does not answer: " + heard.error().text;
      continue;
    }
    const bool chosen = fits(run->hello(), choice);
    if (chosen && is_place_of(choice.name, path)) return std::move(*run);
    (chosen ? fitting : others).push_back(std::move(*run));
  }
  // A run that does not answer is one more, unless the choice is another.
  const bool several =
      fitting.size() > 1 || (!silent.empty() && choice.name.empty() && choice.pid == 0);
  if (fitting.size() == 1 && !several) return std::move(fitting.front());
  if (!silent.empty()) silent = "; " + silent;
  if (!fitting.empty()) {
    return Problem{"more than one run has a control socket; choose one by --name or --pid: " +
                   titles_of(fitting) + silent};
  }
  if (!others.empty()) return Problem{wanted(choice) + "; there is: " + titles_of(others) + silent};
  if (!silent.empty()) {
    const bool is_any = choice.name.empty() && choice.pid == 0;
    return Problem{(is_any ? "no run answers" : wanted(choice)) + silent};
  }
  return Problem{
      "no run of this user has a control socket; a run opens one with --name NAME or --control "
      "auto"};
}

}  // namespace shmvisor::client
