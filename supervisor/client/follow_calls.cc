#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "supervisor/client/call_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

/// A line for a call, without its newline; empty for none.
using LineOf = std::string (*)(const Json&);

/// How the lines that come by themselves are shown.
struct Lines {
  LineOf of_call;
  // Null: these are not shown.
  LineOf of_act;
  LineOf of_cleaned;
};

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

std::string act_as_json(const Json& act) {
  Json event = {{"event", "act"}};
  event.update(act);
  return json_line(event);
}

std::string cleaned_as_json(const Json& cleaned) {
  Json event = {{"event", "cleanup"}};
  event.update(cleaned);
  return json_line(event);
}

/// Of which registry a line tells; empty: of none, but of the run.
std::string registry_of(const Json& line) {
  return line.contains("registry") ? line.at("registry").get<std::string>() : std::string();
}

Result<void, Problem> begin(RunConnection& run, const ShowOptions& options) {
  if (auto redirected = redirect(options); !redirected) return redirected;
  if (options.follows_already) return {};
  const auto begun = run.ask({{"request", "follow"}});
  if (!begun) return begun.error();
  return {};
}

/// The line for a record, as for `lines`; empty for none.
std::string shown(const Json& record, const ShowOptions& options, const Lines& lines) {
  for (const auto& [name, line_of] :
       {std::pair("call", lines.of_call), {"act", lines.of_act}, {"cleaned", lines.of_cleaned}}) {
    const auto found = record.find(name);
    if (found == record.end()) continue;
    const std::string registry = registry_of(*found);
    const bool wanted = registry.empty() || means_registry(options.registry, registry);
    return wanted && line_of != nullptr ? line_of(*found) : std::string();
  }
  const auto lost = record.find("lost");
  if (lost == record.end()) return {};
  return options.json ? json_line(record) : "+++ lost " + lost->dump() + " calls +++";
}

Result<void, Problem> follow(RunConnection& run, const ShowOptions& options, const Lines& lines) {
  if (auto begun = begin(run, options); !begun) return begun;
  for (;;) {
    // What is printed is to be seen before this waits.
    if (!run.has_line() && std::fflush(stdout) != 0) {
      return Problem{"cannot write to " + output_name(options) + ": " + std::strerror(errno)};
    }
    const auto next = run.next(STDOUT_FILENO);
    if (!next) return Problem{"the run " + run.hello().title() + ": " + next.error().text};
    if (!*next) return {};
    const std::string line = shown(**next, options, lines);
    if (!line.empty()) print(line + "\n");
  }
}

}  // namespace

Result<void, Problem> trace_calls(RunConnection& run, const ShowOptions& options) {
  return follow(run, options, {options.json ? json_line : as_strace, nullptr, nullptr});
}

Result<void, Problem> follow_events(RunConnection& run, const ShowOptions& options) {
  return follow(run, options,
                options.json ? Lines{event_as_json, act_as_json, cleaned_as_json}
                             : Lines{event_line, as_act, as_cleaned});
}

}  // namespace shmvisor::client
