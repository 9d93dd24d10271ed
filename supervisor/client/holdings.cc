#include "supervisor/client/holdings.h"

#include <map>
#include <utility>

namespace shmvisor::client {
namespace {

/// Beside other columns on a terminal.
constexpr std::size_t kLettersOfShmids = 40;

bool follows(const Holding& one, const Holding& next) {
  return one.registry == next.registry && one.shmid + 1 == next.shmid;
}

}  // namespace

std::vector<Holding> holdings_of(const SupervisedProcess& process) {
  std::map<std::pair<std::string, int>, Holding> by_segment;
  for (const HeldSegment& held : process.held) {
    const auto registry = held.segment.at("registry").get<std::string>();
    const int shmid = held.segment.at("shmid").get<int>();
    Holding& holding = by_segment[{registry, shmid}];
    holding.registry = registry;
    holding.shmid = shmid;
    ++holding.attaches;
    holding.bytes += held.bytes;
    holding.writable = holding.writable || held.rights.find('w') != std::string::npos;
  }
  std::vector<Holding> holdings;
  for (auto& [key, holding] : by_segment) holdings.push_back(std::move(holding));
  return holdings;
}

std::string shmids_of(const std::vector<Holding>& holdings) {
  if (holdings.empty()) return "-";
  std::string text;
  for (std::size_t first = 0; first < holdings.size();) {
    std::size_t last = first;
    while (last + 1 < holdings.size() && follows(holdings[last], holdings[last + 1])) ++last;
    if (last == first + 1) last = first;  // two are no range
    if (text.size() > kLettersOfShmids) {
      return text + " and " + std::to_string(holdings.size() - first) + " more";
    }
    text += (text.empty() ? "" : ",") + std::to_string(holdings[first].shmid);
    if (last != first) text += "-" + std::to_string(holdings[last].shmid);
    first = last + 1;
  }
  return text;
}

HoldingGraph graph_of(const std::vector<SupervisedProcess>& processes,
                      const std::vector<Json>& segments, bool with_idle) {
  HoldingGraph graph;
  graph.segments = segments;
  std::map<std::pair<std::string, int>, std::size_t> places;
  for (std::size_t place = 0; place < segments.size(); ++place) {
    places[{segments[place].at("registry").get<std::string>(),
            segments[place].at("shmid").get<int>()}] = place;
  }
  for (const SupervisedProcess& process : processes) {
    bool is_wanted = with_idle && process.certain;
    for (Holding& holding : holdings_of(process)) {
      const auto segment = places.find({holding.registry, holding.shmid});
      if (segment == places.end()) continue;
      is_wanted = true;
      graph.edges.push_back({graph.processes.size(), segment->second, std::move(holding)});
    }
    if (is_wanted) graph.processes.push_back(process);
  }
  return graph;
}

}  // namespace shmvisor::client
