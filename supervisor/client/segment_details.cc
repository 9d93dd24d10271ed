#include <array>
#include <cstdio>
#include <ctime>

#include "supervisor/client/ipcs_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {

std::string ipcs_time(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::array<char, 64> text{};
  std::tm local{};
  if (time == 0) return "Not set";
  if (::localtime_r(&time, &local) == nullptr ||
      std::strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &local) == 0) {
    return std::to_string(time);
  }
  return text.data();
}

namespace {

std::string when(const Json& seconds) { return ipcs_time(seconds.get<std::int64_t>()); }

/// As print_shm() of ipcs.c, util-linux, prints it for `ipcs -m -i ID`.
std::string details(const Json& segment) {
  const auto number = [&segment](const char* name) { return segment.at(name).dump(); };
  std::array<char, 64> mode{};
  std::snprintf(mode.data(), mode.size(), "mode=%#o\taccess_perms=%#o", mode_of(segment),
                mode_of(segment));
  std::string text = "\nShared memory Segment shmid=" + number("shmid") + "\n";
  text += "uid=" + number("uid") + "\tgid=" + number("gid") + "\tcuid=" + number("cuid") +
          "\tcgid=" + number("cgid") + "\n";
  text += std::string(mode.data()) + "\n";
  text += "bytes=" + number("segsz") + "\tlpid=" + number("lpid") + "\tcpid=" + number("cpid") +
          "\tnattch=" + number("nattch") + "\n";
  text += "att_time=" + when(segment.at("atime")) + "  \n";
  text += "det_time=" + when(segment.at("dtime")) + "  \n";
  text += "change_time=" + when(segment.at("ctime")) + "  \n\n";
  return text;
}

}  // namespace

Result<void, Problem> show_segment(RunConnection& run, const ShowOptions& options) {
  const auto segments = fetch_segments(run, options.registry);
  if (!segments) return segments.error();
  const int shmid = options.number.value_or(-1);
  const auto found = with_id(*segments, shmid);
  if (found.empty()) {
    return Problem{run.hello().called() + " has no segment " + std::to_string(shmid)};
  }
  if (options.json) {
    print_json({{"segments", found}});
    return {};
  }
  for (const Json& segment : found) {
    if (found.size() > 1) {
      print("\nregistry=" + printable(segment.at("registry").get<std::string>()));
    }
    print(details(segment));
  }
  return {};
}

}  // namespace shmvisor::client
