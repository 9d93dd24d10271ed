#include "integration/bench/x11_run.h"

#include <algorithm>
#include <string>
#include <vector>

#include "integration/bench/launched.h"
#include "integration/bench/scratch_folder.h"
#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

// $0 is a folder, the rest a command. The server picks its display and says which.
constexpr const char* kScript = R"(
Xvfb -displayfd 3 -screen 0 1024x768x24 -nolisten tcp 3>"$0/display" >"$0/log" 2>&1 &
server=$!
for i in $(seq 300); do
  [ -s "$0/display" ] && break
  sleep 0.1
done
DISPLAY=:$(cat "$0/display") "$@"
status=$?
kill $server
wait $server
exit $status
)";

}  // namespace

std::vector<std::string> beside_x_server(const std::string& folder,
                                         const std::vector<std::string>& client) {
  std::vector<std::string> command{"sh", "-c", kScript, folder};
  command.insert(command.end(), client.begin(), client.end());
  return command;
}

Outcome run_shmput_in(const Placement& placement) {
  if (!on_path("Xvfb")) return Outcome::none("Xvfb is missing (Debian package xvfb)");
  if (!on_path("x11perf")) return Outcome::none("x11perf is missing (Debian package x11-apps)");
  const ScratchFolder folder;
  const auto whole_seconds = std::max<std::int64_t>(placement.budget.count() / 100, 1);
  std::vector<std::string> command = placement.prefix;
  const std::vector<std::string> both = beside_x_server(
      folder.path(),
      {"x11perf", "-repeat", "1", "-time", std::to_string(whole_seconds), "-shmput500"});
  command.insert(command.end(), both.begin(), both.end());
  const Finished finished = run_to_end(command);
  if (!finished.ok()) return Outcome::none(finished.complaint());
  // "   4000 reps @   0.5 msec (  2000.0/sec): ShmPutImage 500x500 square"
  const std::size_t end = finished.output.rfind("/sec): ShmPutImage");
  const std::size_t begin = end == std::string::npos ? end : finished.output.rfind('(', end);
  if (begin == std::string::npos) return Outcome::none("x11perf printed no rate");
  return Outcome::of(std::strtod(finished.output.c_str() + begin + 1, nullptr));
}

}  // namespace shmvisor
