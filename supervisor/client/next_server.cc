#include "supervisor/client/next_server.h"

#include <chrono>
#include <utility>

namespace shmvisor::client {
namespace {

/// For a server to begin, on a busy machine too.
constexpr std::chrono::seconds kForItsBeginning(30);

bool is_same(const RunConnection::Hello& one, const RunConnection::Hello& other) {
  return one.pid == other.pid && one.pid_namespace == other.pid_namespace && one.name == other.name;
}

}  // namespace

Result<std::optional<RunConnection>, Problem> next_server(const RunConnection& run) {
  using None = std::optional<RunConnection>;
  // A client that the run itself has started is started by the next server, too.
  if (run.path().empty()) return None();
  // At its end a run removes the socket's file first. Where it was killed nobody listens any more.
  const auto deadline = std::chrono::steady_clock::now() + kForItsBeginning;
  auto next = RunConnection::reach_by(run.path(), deadline);
  const auto heard = next ? next->get_hello(deadline) : Result<void, Problem>(next.error());
  if (heard && !is_same(next->hello(), run.hello())) return None();
  // A run of an older version does not tell.
  const pid_t before = run.hello().server;
  if (heard && before != 0 && next->hello().server == before) {
    return Problem{run.hello().called() +
                   " has dropped this client, which did not keep up with what it is told"};
  }
  if (heard) return None(std::move(*next));
  if (heard.error().has_ended) return None();
  return Problem{run.hello().called() +
                 " goes on without the process that served it, and the next one does not answer: " +
                 heard.error().text};
}

}  // namespace shmvisor::client
