#include <unistd.h>

#include <array>
#include <climits>
#include <string>
#include <utility>

#include "supervisor/client/next_server.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

/// As the run finds it, whose folder is another one.
std::string from_root(const std::string& path) {
  std::array<char, PATH_MAX> folder{};
  if (path.empty() || path.front() == '/' || ::getcwd(folder.data(), folder.size()) == nullptr) {
    return path;
  }
  return std::string(folder.data()) + "/" + path;
}

}  // namespace

Result<void, Problem> upgrade_run(RunConnection& run, const ShowOptions& options) {
  const RunConnection::Hello before = run.hello();
  Json request{{"request", "upgrade"}};
  if (!options.program.empty()) request["program"] = from_root(options.program);
  const auto reply = run.ask(request);
  // It is only ever refused: where it is granted nobody is left who could answer.
  if (reply) return Problem{"the answer is not understood"};
  if (reply.error().refused) return reply.error();
  const auto next = next_server(run);
  if (!next) return next.error();
  if (!*next) return reply.error();
  const RunConnection::Hello& now = (*next)->hello();
  if (now.upgrades <= before.upgrades) {
    return Problem{now.called() + " goes on with the program that it had; its log says why"};
  }
  if (options.json) {
    print_json({{"pid", now.pid}, {"before", before.version}, {"now", now.version}});
  } else {
    print(printable(now.called()) + ": " + printable(before.version) + " -> " +
          printable(now.version) + "\n");
  }
  return {};
}

}  // namespace shmvisor::client
