#include "supervisor/client/ask_in_parts.h"

namespace shmvisor::client {

Result<void, Problem> ask_in_parts(RunConnection& run, const char* request,
                                   const std::function<void(Json&)>& take) {
  // A run of a version before these parts refuses `after`, and most have room for all in one reply.
  auto reply = run.ask({{"request", request}});
  if (!reply && reply.error().code != "too-long") return reply.error();
  if (!reply) {
    Problem too_long = reply.error();
    reply = run.ask({{"request", request}, {"after", ""}});
    if (!reply && reply.error().code == "bad-request") {
      too_long.refused = false;  // it has closed the connection
      return too_long;
    }
  }
  for (;;) {
    if (!reply) return reply.error();
    take(*reply);
    const Json next = reply->value("next", Json());
    if (next.is_null()) return {};
    reply = run.ask({{"request", request}, {"after", next}});
  }
}

}  // namespace shmvisor::client
