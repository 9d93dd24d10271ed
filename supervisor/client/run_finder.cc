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

/// One that is there, and does not answer.
struct Silent {
  std::string path;  ///< of its socket, at a default place
  pid_t pid = 0;     ///< 0: not known
  std::string why;

  [[nodiscard]] std::string sentence() const {
    const std::size_t begin = path.rfind('/') + 1;
    const std::string name = path.substr(begin, path.rfind('.') - begin);
    const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
    std::string title = (is_number ? "pid " : "") + printable(name);
    if (!is_number && pid != 0) title += " (pid " + std::to_string(pid) + ")";
    // Whether it is a run or an agent, its hello would have told.
    return title + " does not answer: " + why;
  }
  /// As far as that can be told without its answer.
  [[nodiscard]] bool fits(const RunChoice& choice) const {
    const bool has_pid = pid == choice.pid || is_place_of(std::to_string(choice.pid), path);
    return (choice.name.empty() || is_place_of(choice.name, path)) && (choice.pid == 0 || has_pid);
  }
};

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
  std::vector<Silent> silent;
  // One for all: a run that is stopped keeps clients of other runs waiting once.
  const auto deadline = std::chrono::steady_clock::now() + RunConnection::kHelloPatience;
  for (auto& [path, run] : reach_all(choice)) {
    if (!run && run.error().is_busy) run = RunConnection::reach_by(path, deadline);
    const auto heard = run ? run->get_hello(deadline) : Result<void, Problem>(run.error());
    if (!heard) {
      // Of one that was killed, or that ends just now.
      if (heard.error().has_ended) continue;
      silent.push_back({path, run ? run->peer() : 0, heard.error().text});
      continue;
    }
    const bool chosen = fits(run->hello(), choice);
    if (chosen && is_place_of(choice.name, path)) return std::move(*run);
    (chosen ? fitting : others).push_back(std::move(*run));
  }
  // One that does not answer counts, unless the choice is another.
  std::erase_if(silent, [&choice](const Silent& one) { return !one.fits(choice); });
  if (fitting.size() == 1 && silent.empty()) return std::move(fitting.front());
  std::string of_silent;
  for (const Silent& one : silent) of_silent += (of_silent.empty() ? "" : "; ") + one.sentence();
  if (!fitting.empty()) {
    return Problem{"more than one run has a control socket; choose one by --name or --pid: " +
                   titles_of(fitting) + (silent.empty() ? "" : "; " + of_silent)};
  }
  if (!silent.empty()) return Problem{of_silent};
  if (!others.empty()) return Problem{wanted(choice) + "; there is: " + titles_of(others)};
  return Problem{
      "no run of this user has a control socket; a run opens one with --name NAME or --control "
      "auto"};
}

}  // namespace shmvisor::client
