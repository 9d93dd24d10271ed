#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/text_table.h"
#include "supervisor/client/user_names.h"

namespace shmvisor::client {
namespace {

std::string calls_text(const Json& calls) {
  TextTable table({"call", "calls", "errors"});
  for (const auto& [name, count] : calls.items()) {
    table.add({printable(name), count.at("calls").dump(), count.at("errors").dump()});
  }
  return table.text();
}

std::string refusals_text(const Json& refusals) {
  std::string text;
  for (const auto& [reason, count] : refusals.items()) {
    text += (text.empty() ? "" : ", ") + printable(reason) + " " + count.dump();
  }
  return "refused by: " + (text.empty() ? "nothing" : text) + "\n";
}

std::string slowest_text(const Json& slowest) {
  if (slowest.is_null()) return {};
  std::array<char, 40> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.6f", slowest.at("took_ns").get<double>() / 1e9);
  return "slowest: " + printable(slowest.at("name").get<std::string>()) + " of process " +
         slowest.at("pid").dump() + ", " + seconds.data() + " s\n";
}

/// `what`: "left" or "cleaned up".
std::string segment_text(const char* what, const Json& segment, const std::string& attaches,
                         const std::string& user) {
  const Json& command = segment.at("command");
  const std::string maker =
      command.is_null() ? "" : " (" + printable(command.get<std::string>()) + ")";
  return std::string("  ") + what + ": shmid " + segment.at("shmid").dump() + ", key " +
         printable(segment.at("key").get<std::string>()) + ", " + segment.at("segsz").dump() +
         " bytes" + attaches + ", made by process " + segment.at("cpid").dump() + maker + " of " +
         user + "\n";
}

std::string registry_text(const Json& registry, const UserNames& users) {
  std::string text = "registry " + shown_registry(registry.at("name").get<std::string>()) +
                     ": at most " +
                     counted(registry.at("peak_segments").get<std::uint64_t>(), "segment") + ", " +
                     registry.at("peak_bytes").dump() + " bytes\n";
  for (const Json& segment : registry.at("left")) {
    text += segment_text("left", segment, ", nattch " + segment.at("nattch").dump(),
                         users.of(segment.at("cuid").get<uid_t>()));
  }
  const auto left_out = registry.value("left_out", std::uint64_t{0});
  if (left_out != 0) text += "  left: " + std::to_string(left_out) + " more segments\n";
  for (const Json& segment : registry.value("cleaned", Json::array())) {
    text += segment_text("cleaned up", segment, "", users.of(segment.at("uid").get<uid_t>()));
  }
  return text;
}

}  // namespace

Result<void, Problem> show_report(RunConnection& run, const ShowOptions& options) {
  if (auto redirected = redirect(options); !redirected) return redirected;
  auto reply = run.ask({{"request", "report"}});
  if (!reply) return reply.error();
  reply->erase("reply");
  if (options.json) {
    print_json(*reply);
    return {};
  }
  if (!reply->contains("calls")) {
    tell_of_no_registry(run, {});
    return {};
  }
  const UserNames users;
  std::string text;
  if (reply->value("after_takeover", false)) {
    text = "counted since another server took over; what came before is in none of the counts\n";
  }
  text += calls_text(reply->at("calls")) + refusals_text(reply->at("refusals")) +
          slowest_text(reply->at("slowest"));
  for (const Json& registry : reply->at("registries")) text += registry_text(registry, users);
  const auto others = reply->value("registries_left_out", std::uint64_t{0});
  if (others != 0) text += "and " + std::to_string(others) + " more registries\n";
  const auto unnoted = reply->value("unnoted", std::uint64_t{0});
  if (unnoted != 0) text += std::to_string(unnoted) + " segments are in no peak: no memory\n";
  print(text);
  return {};
}

}  // namespace shmvisor::client
