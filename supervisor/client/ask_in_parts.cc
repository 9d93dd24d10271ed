#include "supervisor/client/ask_in_parts.h"

#include <optional>
#include <string>
#include <utility>

#include "supervisor/control/registry_place.h"

namespace shmvisor::client {
namespace {

/// Of 256 registries each: more than an agent can have descriptors for.
constexpr int kMostParts = 256;

/// Where a part says that the next one begins. Nothing where that is no place behind `last`.
std::optional<RegistryPlace> next_place(const Json& next, const RegistryPlace& last) {
  if (!next.is_string()) return std::nullopt;
  auto place = RegistryPlace::parse(next.get_ref<const std::string&>());
  if (place && *place <= last) place.reset();
  return place;
}

}  // namespace

Result<void, Problem> ask_in_parts(RunConnection& run, const char* request, const char* list,
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
  RegistryPlace last;
  for (int part = 1;; ++part) {
    if (!reply) return reply.error();
    const Json next = reply->value("next", Json());
    const bool is_empty = reply->at(list).empty();
    take(*reply);
    if (next.is_null()) return {};
    auto place = next_place(next, last);
    if (is_empty || !place || part == kMostParts) {
      return Problem{run.hello().called() + ": its list of " + list + " does not end"};
    }
    last = std::move(*place);
    reply = run.ask({{"request", request}, {"after", next}});
  }
}

}  // namespace shmvisor::client
