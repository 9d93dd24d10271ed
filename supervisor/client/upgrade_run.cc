#include <unistd.h>

#include <array>
#include <climits>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/client/next_server.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

/// Each time a server has died.
constexpr int kMostAskings = 20;

/// As the run finds it, whose folder is another one.
std::string from_root(const std::string& path) {
  std::array<char, PATH_MAX> folder{};
  if (path.empty() || path.front() == '/' || ::getcwd(folder.data(), folder.size()) == nullptr) {
    return path;
  }
  return std::string(folder.data()) + "/" + path;
}

/// The run as it is after that. Where a server died before it was known what becomes of the
/// request, the next one is asked again.
Result<RunConnection, Problem> ask_until_known(RunConnection& first, const Json& request) {
  const RunConnection::Hello before = first.hello();
  std::optional<RunConnection> later;
  for (int asked = 0; asked < kMostAskings; ++asked) {
    RunConnection& run = later ? *later : first;
    const auto reply = run.ask(request);
    // It is only ever refused: where it is granted nobody is left who could answer.
    if (reply) return Problem{"the answer is not understood"};
    if (reply.error().refused) return reply.error();
    auto next = next_server(run);
    if (!next) return next.error();
    if (!*next) return reply.error();
    const RunConnection::Hello& now = (*next)->hello();
    if (now.upgrades > before.upgrades) return std::move(**next);
    if (now.refused_upgrades > before.refused_upgrades) {
      return Problem{now.called() + " goes on with the program that it had; its log says why"};
    }
    later = std::move(*next);
  }
  return Problem{before.called() + ": the processes that serve it die, one after another"};
}

}  // namespace

Result<void, Problem> upgrade_run(RunConnection& run, const ShowOptions& options) {
  const std::string before = run.hello().version;
  Json request{{"request", "upgrade"}};
  if (!options.program.empty()) request["program"] = from_root(options.program);
  const auto upgraded = ask_until_known(run, request);
  if (!upgraded) return upgraded.error();
  const RunConnection::Hello& now = upgraded->hello();
  if (options.json) {
    print_json({{"pid", now.pid}, {"before", before}, {"now", now.version}});
  } else {
    print(printable(now.called()) + ": " + printable(before) + " -> " + printable(now.version) +
          "\n");
  }
  return {};
}

}  // namespace shmvisor::client
