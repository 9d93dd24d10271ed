#include <string>
#include <utility>

#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {

Result<void, Problem> set_limits(RunConnection& run, const ShowOptions& options) {
  const auto registries = fetch_registries(run, options.registry);
  if (!registries) return registries.error();
  if (registries->empty()) return Problem{run.hello().called() + " has no registry"};
  if (registries->size() > 1) {
    return Problem{run.hello().called() + " has more than one registry; choose one by --registry"};
  }
  Json request = {{"request", "set"}, {"registry", registries->front().at("name")}};
  if (options.shmmax) request["shmmax"] = *options.shmmax;
  if (options.shmall) request["shmall"] = *options.shmall;
  if (options.shmmni) request["shmmni"] = *options.shmmni;
  const auto reply = run.ask(request);
  if (!reply) return reply.error();
  if (options.json) print_json({{"limits", reply->at("limits")}});
  return {};
}

}  // namespace shmvisor::client
