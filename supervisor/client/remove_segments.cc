#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

bool lives(const Json& pid) {
  struct stat status {};
  return pid.get<int>() != 0 && ::stat(("/proc/" + pid.dump()).c_str(), &status) == 0;
}

/// Nobody maps it, and neither who made it nor who used it last lives. A process that has their pid
/// now keeps it. One that was restored waits for its first user: its pids are of another time.
bool is_orphan(const Json& segment) {
  if (segment.value("awaits_first_user", false)) return false;
  return segment.at("nattch").get<std::uint64_t>() == 0 && !segment.at("dest").get<bool>() &&
         !lives(segment.at("cpid")) && !lives(segment.at("lpid"));
}

bool has_key(const Json& segment, std::uint32_t key) {
  const auto text = segment.at("key").get<std::string>();
  return key != 0 && std::strtoul(text.c_str(), nullptr, 16) == key;
}

/// What could not be removed, and why.
struct Failure {
  int shmid = 0;
  std::string why;  ///< a clause
};

/// One that is named may not be there, or be in several registries.
std::vector<Json> named(const std::vector<Json>& segments, const std::vector<int>& numbers,
                        std::vector<Failure>& failures) {
  std::vector<Json> chosen;
  std::set<int> known;
  for (const int shmid : numbers) {
    if (!known.insert(shmid).second) continue;  // named twice
    const auto found = with_id(segments, shmid);
    const std::string segment = "segment " + std::to_string(shmid);
    if (found.size() == 1) {
      chosen.push_back(found.front());
    } else if (found.empty()) {
      failures.push_back({shmid, "has no " + segment});
    } else {
      failures.push_back(
          {shmid, "has a " + segment + " in more than one registry; choose one by --registry"});
    }
  }
  return chosen;
}

/// All that is said where not all could be removed.
Problem partly(const RunConnection& run, const std::vector<Failure>& failures,
               const Json& removed) {
  std::string text = run.hello().called();
  for (std::size_t place = 0; place < failures.size(); ++place) {
    text += (place == 0 ? " " : "; it ") + failures[place].why;
  }
  if (removed.empty()) return Problem{std::move(text)};
  text += "; removed:";
  for (const Json& segment : removed) text += " " + segment.at("shmid").dump();
  return Problem{std::move(text)};
}

/// Whether they are of several containers, which have nothing to do with one another.
bool is_of_several(const RunConnection& run, const std::vector<Json>& segments) {
  return run.hello().kind == "agent" &&
         std::ranges::adjacent_find(segments, std::ranges::not_equal_to(), [](const Json& one) {
           return one.at("registry");
         }) != segments.end();
}

Result<std::vector<Json>, Problem> choose(const RunConnection& run,
                                          const std::vector<Json>& segments,
                                          const ShowOptions& options,
                                          std::vector<Failure>& failures) {
  if (!options.numbers.empty()) return named(segments, options.numbers, failures);
  if (options.all && is_of_several(run, segments)) {
    return Problem{run.hello().called() +
                   " has segments of more than one container; choose by --registry"};
  }
  std::vector<Json> chosen;
  for (const Json& segment : segments) {
    // Of all, those that are removed already and still attached are none to remove.
    const bool is_removed = segment.at("dest").get<bool>();
    if ((options.all && !is_removed) || (options.orphans && is_orphan(segment)) ||
        (options.key && has_key(segment, *options.key))) {
      chosen.push_back(segment);
    }
  }
  if (!options.key) return chosen;
  if (chosen.size() == 1) return chosen;
  return Problem{run.hello().called() +
                 (chosen.empty() ? " has no segment with this key"
                                 : " has a segment with this key in more than one registry; choose "
                                   "one by --registry")};
}

}  // namespace

Result<void, Problem> remove_segments(RunConnection& run, const ShowOptions& options) {
  if (options.orphans && !run.hello().has_our_pids()) {
    return Problem{run.hello().called() +
                   " is in another pid namespace, where pids mean other processes"};
  }
  const auto segments = fetch_segments(run, options.registry);
  if (!segments) return segments.error();
  std::vector<Failure> failures;
  const auto chosen = choose(run, *segments, options, failures);
  if (!chosen) return chosen.error();
  Json removed = Json::array();
  for (const Json& segment : *chosen) {
    const int shmid = segment.at("shmid").get<int>();
    const auto reply =
        run.ask({{"request", "remove"}, {"registry", segment.at("registry")}, {"shmid", shmid}});
    if (reply) {
      removed.push_back({{"registry", segment.at("registry")}, {"shmid", shmid}});
      if (!options.json) print(std::to_string(shmid) + "\n");
      continue;
    }
    // Of many, some may have gone by themselves.
    const bool picked = !options.numbers.empty() || options.key;
    if (reply.error().refused && !picked) continue;
    failures.push_back({shmid, "does not remove segment " + std::to_string(shmid) + " (" +
                                   reply.error().text + ")"});
    if (!reply.error().refused) break;
  }
  if (options.json) {
    Json answer = {{"removed", removed}};
    for (const Failure& failure : failures) answer["failed"].push_back(failure.shmid);
    print_json(answer);
  }
  if (failures.empty()) return {};
  return partly(run, failures, removed);
}

}  // namespace shmvisor::client
