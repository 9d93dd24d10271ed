#include "supervisor/client/run_sample.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/client/ask_in_parts.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor::client {
namespace {

using Clock = std::chrono::steady_clock;

/// Threads at a time; further runs are counted as unanswered.
constexpr std::size_t kMostRuns = 256;
constexpr std::size_t kStackBytes = std::size_t{256} << 10;

std::uint64_t number(const Json& object, const char* name) {
  return object.at(name).get<std::uint64_t>();
}

RegistrySample described(const Json& registry) {
  const Json& used = registry.at("used");
  const Json& limits = registry.at("limits");
  RegistrySample sample;
  sample.name = registry.at("name").get<std::string>();
  sample.segments = number(used, "segments");
  sample.pages = number(used, "pages");
  sample.resident_pages = number(used, "resident_pages");
  sample.swapped_pages = number(used, "swapped_pages");
  sample.shmmni = number(limits, "shmmni");
  sample.shmmax = number(limits, "shmmax");
  sample.shmall = number(limits, "shmall");
  return sample;
}

/// `places`: of the registries. One that ends meanwhile has none, and so has one whose attaches
/// cannot be counted, unless it is the only one.
Result<void, Problem> add_segments(RunConnection& run, RunSample& sample,
                                   const std::map<std::string, std::size_t>& places,
                                   const EachSegment& each_segment) {
  std::vector<std::string> names;
  for (const RegistrySample& registry : sample.registries) {
    if (registry.segments != 0) names.push_back(registry.name);
  }
  const auto add = [&](const std::string& name, const Json& segment) {
    RegistrySample& registry = sample.registries[places.at(name)];
    registry.attaches += number(segment, "nattch");
    registry.removed_segments += segment.at("dest").get<bool>() ? 1 : 0;
    if (each_segment) each_segment(name, segment);
  };
  if (places.size() == 1 && !names.empty()) {
    return for_each_segment(run, names.front(),
                            [&](const Json& segment) { add(names.front(), segment); });
  }
  return for_each_segment(run, names, add, [](const std::string&, const Problem&) {});
}

void add_counters(const Json& counters, RegistrySample& registry) {
  for (const auto& [name, counts] : counters.at("calls").items()) {
    registry.calls.push_back({name, number(counts, "calls"), number(counts, "errors"),
                              number(counts, "took_ns"),
                              counts.at("within").get<std::vector<std::uint64_t>>()});
  }
  for (const auto& [reason, count] : counters.at("refusals").items()) {
    registry.refusals.emplace_back(reason, count.get<std::uint64_t>());
  }
}

/// Nothing where each histogram has a number for each bound, and the bounds grow.
std::optional<Problem> check_histograms(const RunSample& sample) {
  const auto& bounds = sample.bounds_ns;
  bool fit = std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>());
  for (const RegistrySample& registry : sample.registries) {
    for (const RegistrySample::Call& call : registry.calls) {
      fit = fit && call.within.size() == bounds.size() + 1;
    }
  }
  if (fit) return std::nullopt;
  return Problem{"its durations do not fit their bounds"};
}

/// One run, and the thread that asks it.
struct Asking {
  std::optional<RunConnection> run;
  bool is_named = false;
  Clock::time_point deadline;
  std::optional<RunSample> sample = std::nullopt;
  bool has_ended = false;
  std::optional<pthread_t> thread = std::nullopt;

  void ask() {
    try {
      const auto heard = run->get_hello(deadline);
      has_ended = !heard && heard.error().has_ended;
      if (!heard) return;
      run->answer_by(deadline);
      auto taken = take_sample(*run);
      if (taken) sample = std::move(*taken);
    } catch (const std::exception&) {  // a reply of another form, or no memory
      sample.reset();
    }
  }
  static void* begin(void* asking) {
    static_cast<Asking*>(asking)->ask();
    return nullptr;
  }
};

}  // namespace

Result<RunSample, Problem> take_sample(RunConnection& run, const EachSegment& each_segment) {
  RunSample sample;
  sample.hello = run.hello();
  const auto registries = ask_in_parts(run, "registries", "registries", [&](const Json& part) {
    for (const Json& registry : part.at("registries")) {
      sample.registries.push_back(described(registry));
    }
  });
  if (!registries) return registries.error();
  std::map<std::string, std::size_t> places;
  for (const RegistrySample& registry : sample.registries) {
    if (!places.emplace(registry.name, places.size()).second) {
      return Problem{"it has two registries of one name"};
    }
  }
  const auto counters = ask_in_parts(run, "counters", "registries", [&](const Json& part) {
    sample.lost = number(part, "lost");
    sample.bounds_ns = part.at("bounds_ns").get<std::vector<std::uint64_t>>();
    for (const Json& registry : part.at("registries")) {
      const auto place = places.find(registry.at("name").get<std::string>());
      // It is new.
      if (place != places.end()) add_counters(registry, sample.registries[place->second]);
    }
  });
  if (!counters) return counters.error();
  if (auto problem = check_histograms(sample)) return std::move(*problem);
  const auto added = add_segments(run, sample, places, each_segment);
  if (!added) return added.error();
  return sample;
}

Scrape scrape_runs(const std::vector<RunPlace>& places, std::chrono::milliseconds bound) {
  const auto began = Clock::now();
  Scrape scrape;
  std::vector<std::unique_ptr<Asking>> all;
  for (const RunPlace& place : places) {
    auto run = RunConnection::reach(place.path);
    if (!run && run.error().has_ended && !place.is_named) continue;
    if (!run || all.size() == kMostRuns) {
      ++scrape.unanswered;
      continue;
    }
    all.push_back(std::make_unique<Asking>(Asking{std::move(*run), place.is_named, began + bound}));
  }
  for (const auto& asking : all) {
    const auto thread = start_joinable(&Asking::begin, asking.get(), kStackBytes);
    if (thread) asking->thread = *thread;
  }
  for (const auto& asking : all) {
    if (asking->thread) ::pthread_join(*asking->thread, nullptr);
    if (asking->sample) {
      scrape.runs.push_back(std::move(*asking->sample));
    } else if (!asking->has_ended || asking->is_named) {
      ++scrape.unanswered;
    }
  }
  scrape.took = Clock::now() - began;
  return scrape;
}

}  // namespace shmvisor::client
