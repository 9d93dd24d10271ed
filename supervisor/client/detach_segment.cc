// `shmvisor detach`: takes a segment out of processes.
#include <string>

#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/text_table.h"

namespace shmvisor::client {

Result<void, Problem> detach_segment(RunConnection& run, const ShowOptions& options) {
  const int shmid = options.number.value_or(-1);
  const auto found = only_segment(run, options.registry, shmid);
  if (!found) return found.error();
  Json wanted = {{"request", "detach"},
                 {"registry", found->at("registry")},
                 {"shmid", shmid},
                 {"gives", options.signal}};
  if (options.process) wanted["pid"] = *options.process;
  const auto reply = run.ask(wanted);
  if (!reply) return reply.error();
  const Json& processes = reply->at("processes");
  const Json& failed = reply->at("failed");
  if (options.json) {
    print_json({{"processes", processes}, {"failed", failed}});
  } else if (!processes.empty()) {
    TextTable table({"pid", "ranges", "bytes"});
    for (const Json& one : processes) {
      table.add({one.at("pid").dump(), one.at("ranges").dump(), one.at("bytes").dump()});
    }
    print(table.text());
  }
  std::string text;
  for (const Json& one : failed) {
    text += (text.empty() ? "" : "; ") + ("process " + one.at("pid").dump() + ": " +
                                          printable(one.at("why").get<std::string>()));
  }
  if (!text.empty()) {
    return Problem{"segment " + std::to_string(shmid) + " stays in some processes: " + text};
  }
  if (options.process && processes.empty()) {
    return Problem{"process " + std::to_string(*options.process) + " does not map segment " +
                   std::to_string(shmid)};
  }
  return {};
}

}  // namespace shmvisor::client
