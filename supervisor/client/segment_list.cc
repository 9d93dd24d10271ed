#include "supervisor/client/segment_list.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "emulation/ipc/id_table.h"
#include "policy/limits/container_metadata.h"
#include "supervisor/client/ask_in_parts.h"
#include "supervisor/config/nearest.h"
#include "supervisor/control/registry_place.h"

namespace shmvisor::client {
namespace {

/// In one sentence.
constexpr std::size_t kMostNames = 20;
/// With one that is misspelt.
constexpr std::size_t kMostCompared = 1000;
/// Of a container's id.
constexpr const char* kDigits = "0123456789abcdef";

}  // namespace

bool means_registry(const std::string& wanted, const std::string& name) {
  constexpr std::size_t kLeastDigits = 4;
  if (wanted.empty() || name == wanted) return true;
  const std::size_t digits = std::min(wanted.find_first_not_of(kDigits), wanted.size());
  if (digits < kLeastDigits || !name.starts_with(wanted.substr(0, digits))) return false;
  const std::size_t id = std::min(name.find_first_not_of(kDigits), name.size());
  // An IPC namespace made inside is meant by its own name alone.
  return digits == wanted.size() ? name.find('/') == std::string::npos
                                 : name.substr(id) == wanted.substr(digits);
}

std::string shown_registry(const std::string& name) {
  constexpr std::size_t kIdDigits = 64;
  constexpr std::size_t kShownDigits = 12;
  std::string shown = printable(name);
  if (std::min(shown.find_first_not_of(kDigits), shown.size()) == kIdDigits) {
    shown.erase(kShownDigits, kIdDigits - kShownDigits);
  }
  return shown;
}

namespace {

/// The registry that was most likely meant, as a sentence goes on; empty where none is like it.
std::string meant_by(const std::string& wanted, const std::vector<Json>& registries) {
  std::vector<std::string> names;
  for (const Json& registry : registries) {
    names.push_back(printable(registry.at("name").get<std::string>()));
    if (names.back() == group_title(wanted)) return did_you_mean(names.back());
    if (names.size() == kMostCompared) break;
  }
  return did_you_mean(nearest_word(wanted, names));
}

}  // namespace

Result<std::vector<Json>, Problem> fetch_registries(RunConnection& run, const std::string& only) {
  std::vector<Json> all;
  const auto asked = ask_in_parts(run, "registries", "registries", [&all](Json& part) {
    for (Json& registry : part.at("registries")) all.push_back(std::move(registry));
  });
  if (!asked) return asked.error();
  std::vector<Json> registries;
  std::string names;
  for (std::size_t place = 0; place < all.size(); ++place) {
    Json& registry = all[place];
    const auto name = registry.at("name").get<std::string>();
    if (place < kMostNames) names += (place == 0 ? "" : ", ") + shown_registry(name);
    if (place == kMostNames) {
      names += ", and " + std::to_string(all.size() - kMostNames) + " more";
    }
    if (name == only) {
      std::vector<Json> one;
      one.push_back(std::move(registry));
      return one;
    }
    if (means_registry(only, name)) registries.push_back(std::move(registry));
  }
  if (registries.size() > 1 && !only.empty()) {
    return Problem{run.hello().called() + " has more than one registry '" + only +
                   "...'; there is: " + names};
  }
  if (registries.empty() && !only.empty()) {
    return Problem{run.hello().called() + " has no registry '" + only +
                   "'; there is: " + (names.empty() ? "none" : names) + meant_by(only, all)};
  }
  return registries;
}

void tell_of_no_registry(const RunConnection& run, const std::vector<Json>& registries) {
  if (!registries.empty()) return;
  (void)std::fflush(stdout);  // its turn was first
  (void)std::fprintf(stderr, "shmvisor: %s serves no container, and so has no registry\n",
                     run.hello().called().c_str());
}

Result<void, Problem> for_each_segment(RunConnection& run, const std::string& registry,
                                       const std::function<void(const Json&)>& visit) {
  for (std::uint64_t from = 0;;) {
    const auto reply = run.ask({{"request", "segments"}, {"registry", registry}, {"from", from}});
    if (!reply) return reply.error();
    const Json& segments = reply->at("segments");
    for (const Json& segment : segments) visit(segment);
    const Json& next = reply->at("next");
    if (next.is_null()) return {};
    // Each of them has an index of its own, from `from` on.
    const bool goes_on = !segments.empty() && next.get<std::uint64_t>() >= from + segments.size();
    if (!goes_on || next.get<std::uint64_t>() > IdSpace::kMaxIds) {
      return Problem{run.hello().called() + ": its list of segments does not end"};
    }
    from = next.get<std::uint64_t>();
  }
}

namespace {

/// A part has 256 segments, or fewer where there are many registries, or where a count takes long.
constexpr int kMostParts = 16384;

/// Those of all registries, in parts.
Result<void, Problem> ask_for_all(RunConnection& run,
                                  const std::function<void(const Json&)>& visit_registry) {
  SegmentPlace last;
  Json after = "";
  for (int part = 0; part < kMostParts; ++part) {
    const auto reply = run.ask({{"request", "segments"}, {"after", after}});
    if (!reply) return reply.error();
    for (const Json& registry : reply->at("registries")) visit_registry(registry);
    after = reply->at("next");
    if (after.is_null()) return {};
    auto place = after.is_string() ? SegmentPlace::parse(after.get_ref<const std::string&>())
                                   : std::optional<SegmentPlace>();
    if (!place || *place <= last) break;
    last = std::move(*place);
  }
  return Problem{run.hello().called() + ": its list of segments does not end"};
}

}  // namespace

Result<void, Problem> for_each_segment(RunConnection& run,
                                       const std::vector<std::string>& registries,
                                       const EachSegment& visit, const EachLeftOut& left_out) {
  if (registries.size() > 1 && run.hello().lists_all_segments) {
    const std::set<std::string> wanted(registries.begin(), registries.end());
    return ask_for_all(run, [&](const Json& registry) {
      const auto name = registry.at("name").get<std::string>();
      if (!wanted.contains(name)) return;  // it is new
      if (const auto error = registry.find("error"); error != registry.end()) {
        left_out(name, Problem{printable(error->at("message").get<std::string>())});
        return;
      }
      for (const Json& segment : registry.at("segments")) visit(name, segment);
    });
  }
  for (const std::string& name : registries) {
    const auto visited =
        for_each_segment(run, name, [&](const Json& segment) { visit(name, segment); });
    if (visited) continue;
    if (!visited.error().refused) return visited.error();
    if (visited.error().code != "no-such-registry") left_out(name, visited.error());
  }
  return {};
}

Result<std::vector<Json>, Problem> fetch_segments(RunConnection& run, const std::string& only) {
  const auto registries = fetch_registries(run, only);
  if (!registries) return registries.error();
  return fetch_segments(run, *registries);
}

Result<std::vector<Json>, Problem> fetch_segments(RunConnection& run,
                                                  const std::vector<Json>& registries) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<Json>> segments_of;
  for (const Json& registry : registries) {
    // Of very many, most may have none.
    if (registry.at("used").at("segments") == 0) continue;
    names.push_back(registry.at("name").get<std::string>());
  }
  const auto take = [&segments_of](const std::string& registry, const Json& segment) {
    Json& taken = segments_of[registry].emplace_back(Json{{"registry", registry}});
    taken.update(segment);
  };
  Result<void, Problem> fetched;
  if (registries.size() == 1 && !names.empty()) {
    fetched = for_each_segment(run, names.front(),
                               [&](const Json& segment) { take(names.front(), segment); });
  } else {
    std::map<std::string, Problem> left_out;
    fetched = for_each_segment(run, names, take, [&](const std::string& name, const Problem& why) {
      left_out.emplace(name, why);
    });
    for (const auto& [name, why] : left_out) {
      segments_of.erase(name);  // a part of them would look like all
      (void)std::fprintf(stderr, "shmvisor: the segments of %s are left out: %s\n",
                         shown_registry(name).c_str(), why.text.c_str());
    }
  }
  if (!fetched) return fetched.error();
  std::vector<Json> segments;
  for (const std::string& name : names) {
    std::ranges::move(segments_of[name], std::back_inserter(segments));
    segments_of.erase(name);
  }
  return segments;
}

std::vector<Json> with_id(const std::vector<Json>& segments, int shmid) {
  std::vector<Json> found;
  for (const Json& segment : segments) {
    if (segment.at("shmid").get<int>() == shmid) found.push_back(segment);
  }
  return found;
}

Result<Json, Problem> only_segment(RunConnection& run, const std::string& registry, int shmid) {
  const auto segments = fetch_segments(run, registry);
  if (!segments) return segments.error();
  auto found = with_id(*segments, shmid);
  if (found.size() == 1) return std::move(found.front());
  const std::string segment = "segment " + std::to_string(shmid);
  return Problem{run.hello().called() +
                 (found.empty() ? " has no " + segment
                                : " has a " + segment +
                                      " in more than one registry; choose one by --registry")};
}

unsigned mode_of(const Json& segment) {
  return static_cast<unsigned>(
      std::strtoul(segment.at("mode").get<std::string>().c_str(), nullptr, 8));
}

}  // namespace shmvisor::client
