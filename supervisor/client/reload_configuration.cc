#include <string>

#include "supervisor/client/show.h"

namespace shmvisor::client {

Result<void, Problem> reload_configuration(RunConnection& run, const ShowOptions& options) {
  const auto reply = run.ask({{"request", "reload"}});
  if (!reply) return reply.error();
  const Json warnings = reply->value("warnings", Json::array());  // older runs have none
  if (options.json) {
    print_json({{"rules", reply->at("rules")},
                {"need_restart", reply->at("need_restart")},
                {"warnings", warnings}});
    return {};
  }
  for (const Json& name : reply->at("need_restart")) {
    print(printable(name.get<std::string>()) + " has changed, and needs a restart\n");
  }
  for (const Json& warning : warnings) {
    print("warning: " + printable(warning.get<std::string>()) + "\n");
  }
  return {};
}

}  // namespace shmvisor::client
