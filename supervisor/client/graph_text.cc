#include "supervisor/client/graph_text.h"

#include <array>
#include <cstdio>
#include <map>

#include "supervisor/client/segment_list.h"
#include "supervisor/client/user_names.h"

namespace shmvisor::client {
namespace {

/// A string of dot's language. What a line has is no escape of dot's, and no entity; "\n" between
/// lines is.
std::string quoted(const std::vector<std::string>& lines) {
  std::string text = "\"";
  for (const std::string& line : lines) {
    if (&line != &lines.front()) text += "\\n";
    for (const char letter : printable(line)) {
      if (letter == '"' || letter == '\\') text += '\\';
      text += letter == '&' ? "&amp;" : std::string(1, letter);
    }
  }
  return text + "\"";
}

std::vector<std::string> lines_of(const SupervisedProcess& process, const UserNames& users) {
  return {process.command, "pid " + std::to_string(process.pid) + " of " + users.of(process.uid)};
}

std::vector<std::string> lines_of(const Json& segment) {
  const bool removed = segment.at("dest").get<bool>();
  const auto bytes = segment.at("segsz").get<std::uint64_t>();
  return {"shmid " + segment.at("shmid").dump(),
          removed ? "removed" : "key " + segment.at("key").get<std::string>(),
          size_text(bytes) + ", nattch " + segment.at("nattch").dump()};
}

std::string rights_text(const Holding& holding) {
  const std::string rights = holding.writable ? "rw" : "r";
  return holding.attaches == 1 ? rights
                               : rights + ", " + std::to_string(holding.attaches) + " times";
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  constexpr double kStep = 1024;
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 999.5 && unit + 1 < kUnits.size(); ++unit) size /= kStep;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), size < 9.95 && unit != 0 ? "%.1f %s" : "%.0f %s", size,
                kUnits.at(unit));
  return text.data();
}

std::string as_dot(const HoldingGraph& graph, const std::string& title) {
  const UserNames users;
  std::string text = "graph shmvisor {\n  graph [rankdir=LR, labelloc=t, label=" + quoted({title}) +
                     "];\n  node [fontname=\"sans-serif\"];\n";
  for (std::size_t place = 0; place < graph.processes.size(); ++place) {
    text += "  p" + std::to_string(place) +
            " [shape=box, style=rounded, label=" + quoted(lines_of(graph.processes[place], users)) +
            "];\n";
  }
  std::map<std::string, std::string> by_registry;
  for (std::size_t place = 0; place < graph.segments.size(); ++place) {
    const Json& segment = graph.segments[place];
    by_registry[segment.at("registry").get<std::string>()] +=
        "    s" + std::to_string(place) +
        " [shape=box, style=" + (segment.at("dest").get<bool>() ? "dashed" : "solid") +
        ", label=" + quoted(lines_of(segment)) + "];\n";
  }
  std::size_t number = 0;
  for (const auto& [registry, nodes] : by_registry) {
    text += "  subgraph cluster_" + std::to_string(number++) +
            " {\n    label=" + quoted({shown_registry(registry)}) + ";\n" + nodes + "  }\n";
  }
  for (const HoldingGraph::Edge& edge : graph.edges) {
    text += "  p" + std::to_string(edge.process) + " -- s" + std::to_string(edge.segment) +
            " [style=" + (edge.holding.writable ? "solid" : "dashed") +
            ", label=" + quoted({rights_text(edge.holding)}) + "];\n";
  }
  return text + "}\n";
}

Json as_json(const HoldingGraph& graph) {
  Json processes = Json::array();
  for (const SupervisedProcess& process : graph.processes) {
    processes.push_back({{"pid", process.pid},
                         {"uid", process.uid},
                         {"command", process.command},
                         {"readable", process.readable}});
  }
  Json maps = Json::array();
  for (const HoldingGraph::Edge& edge : graph.edges) {
    maps.push_back({{"pid", graph.processes[edge.process].pid},
                    {"registry", edge.holding.registry},
                    {"shmid", edge.holding.shmid},
                    {"attaches", edge.holding.attaches},
                    {"bytes", edge.holding.bytes},
                    {"writable", edge.holding.writable}});
  }
  return {
      {"processes", std::move(processes)}, {"segments", graph.segments}, {"maps", std::move(maps)}};
}

}  // namespace shmvisor::client
