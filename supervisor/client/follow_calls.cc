#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <utility>

#include "supervisor/client/call_text.h"
#include "supervisor/client/line_output.h"
#include "supervisor/client/next_server.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

constexpr std::chrono::milliseconds kBetweenServers(200);

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

Result<void, Problem> begin(RunConnection& run) {
  const auto begun = run.ask({{"request", "follow"}});
  if (!begun) return begun.error();
  return {};
}

std::string lost_line(std::uint64_t calls, bool json) {
  return json ? json_line({{"lost", calls}}) : "+++ lost " + counted(calls, "call") + " +++";
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
  return lost == record.end() ? std::string() : lost_line(lost->get<std::uint64_t>(), options.json);
}

/// How many calls a record stands for; one, also of an act.
std::uint64_t calls_in(const Json& record) { return record.value("lost", std::uint64_t{1}); }

/// Until the connection ends.
Result<void, Problem> print_all(RunConnection& run, const ShowOptions& options, const Lines& lines,
                                LineOutput& output) {
  for (;;) {
    // What is printed is to be seen before this waits.
    if (!run.has_line()) {
      if (const auto flushed = output.flush(); !flushed) return flushed;
    }
    const auto next = run.next(STDOUT_FILENO);
    if (!next) return Problem{run.hello().called() + ": " + next.error().text};
    if (!*next) return {};
    const std::string line = shown(**next, options, lines);
    if (line.empty()) continue;
    if (const auto added = output.add(line, calls_in(**next)); !added) return added;
  }
}

/// Behind what an earlier server has told.
Result<void, Problem> tell_of_next_server(const ShowOptions& options, LineOutput& output) {
  return output.add(options.json
                        ? json_line({{"another_server", true}})
                        : "+++ another server goes on; what happened meanwhile is not told +++",
                    0);
}

/// Goes on with the next server. False where the run has ended.
Result<bool, Problem> go_on(RunConnection& run, const ShowOptions& options, LineOutput& output) {
  auto next = next_server(run);
  if (!next) return next.error();
  if (!*next) return false;
  run = std::move(**next);
  if (const auto added = tell_of_next_server(options, output); !added) return added.error();
  if (auto begun = begin(run); !begun) return begun.error();
  return true;
}

/// Until the last of them has ended.
Result<void, Problem> follow_servers(RunConnection& run, const ShowOptions& options,
                                     const Lines& lines, LineOutput& output) {
  if (options.follows_already) return print_all(run, options, lines, output);
  if (auto begun = begin(run); !begun) return begun;
  for (;;) {
    const auto began = std::chrono::steady_clock::now();
    if (auto printed = print_all(run, options, lines, output); !printed) return printed;
    if (has_lost_its_reader(STDOUT_FILENO)) return {};
    // One that drops its followers at once is not asked on and on.
    const auto lasted = std::chrono::steady_clock::now() - began;
    if (lasted < kBetweenServers) std::this_thread::sleep_for(kBetweenServers);
    const auto goes_on = go_on(run, options, output);
    if (!goes_on) return goes_on.error();
    if (!*goes_on) return {};
  }
}

Result<void, Problem> follow(RunConnection& run, const ShowOptions& options, const Lines& lines) {
  if (auto redirected = redirect(options); !redirected) return redirected;
  LineOutput output(output_name(options),
                    [json = options.json](std::uint64_t calls) { return lost_line(calls, json); });
  auto followed = options.goes_on ? tell_of_next_server(options, output) : Result<void, Problem>();
  if (followed) followed = follow_servers(run, options, lines, output);
  // Also where that failed: what came before is to be seen.
  auto finished = output.finish();
  if (followed) return finished;
  // The output may be what failed: it does so twice, for one reason.
  if (!finished && finished.error().text != followed.error().text) {
    (void)std::fprintf(stderr, "shmvisor: %s\n", finished.error().text.c_str());
  }
  return followed;
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
