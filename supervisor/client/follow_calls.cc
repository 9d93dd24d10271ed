#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "supervisor/client/call_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

/// A line for a call, without its newline; empty for none.
using LineOf = std::string (*)(const Json&);

std::string json_line(const Json& call) {
  return call.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string event_as_json(const Json& call) {
  const std::string kind = event_kind(call);
  if (kind.empty()) return {};
  Json event = {{"event", kind}};
  event.update(call);
  return json_line(event);
}

std::string event_line(const Json& call) {
  return event_kind(call).empty() ? std::string() : as_event(call);
}

Result<void, Problem> begin(RunConnection& run, const ShowOptions& options) {
  if (auto redirected = redirect(options); !redirected) return redirected;
  if (options.follows_already) return {};
  const auto begun = run.ask({{"request", "follow"}});
  if (!begun) return begun.error();
  return {};
}

Result<void, Problem> follow(RunConnection& run, const ShowOptions& options, LineOf line_of) {
  if (auto begun = begin(run, options); !begun) return begun;
  for (;;) {
    // What is printed is to be seen before this waits.
    if (!run.has_line() && std::fflush(stdout) != 0) {
      return Problem{std::string("cannot write what was traced: ") + std::strerror(errno)};
    }
    const auto next = run.next(STDOUT_FILENO);
    if (!next) return Problem{"the run " + run.hello().title() + ": " + next.error().text};
    if (!*next) return {};
    const Json& record = **next;
    if (const auto call = record.find("call"); call != record.end()) {
      const bool wanted = means_registry(options.registry, call->at("registry").get<std::string>());
      const std::string line = wanted ? line_of(*call) : "";
      if (!line.empty()) print(line + "\n");
    } else if (const auto lost = record.find("lost"); lost != record.end()) {
      print(options.json ? json_line(record) + "\n" : "+++ lost " + lost->dump() + " calls +++\n");
    }
  }
}

}  // namespace

Result<void, Problem> trace_calls(RunConnection& run, const ShowOptions& options) {
  return follow(run, options, options.json ? json_line : as_strace);
}

Result<void, Problem> follow_events(RunConnection& run, const ShowOptions& options) {
  return follow(run, options, options.json ? event_as_json : event_line);
}

}  // namespace shmvisor::client
