// What a process maps of each segment, its attaches taken together; and who maps what as a graph.
//
// Thread rule: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/client/held_segments.h"

namespace shmvisor::client {

/// What a process maps of one segment.
struct Holding {
  std::string registry;
  int shmid = 0;
  std::uint64_t attaches = 0;
  std::uint64_t bytes = 0;
  bool writable = false;  ///< one of the mappings is
};

/// In the order of their registries and identifiers.
[[nodiscard]] std::vector<Holding> holdings_of(const SupervisedProcess& process);

/// Their identifiers in few letters: "0-7,12"; "-" for none. Of more than there is room for the
/// rest is counted: "1,3,5 and 120 more".
[[nodiscard]] std::string shmids_of(const std::vector<Holding>& holdings);

/// Processes and segments, and which maps which.
struct HoldingGraph {
  struct Edge {
    std::size_t process = 0;  ///< a place in `processes`
    std::size_t segment = 0;  ///< a place in `segments`
    Holding holding;
  };
  std::vector<SupervisedProcess> processes;
  std::vector<Json> segments;
  std::vector<Edge> edges;
};

/// Of the processes those that map one of the segments; `with_idle`: all that are certainly
/// supervised.
[[nodiscard]] HoldingGraph graph_of(const std::vector<SupervisedProcess>& processes,
                                    const std::vector<Json>& segments, bool with_idle);

}  // namespace shmvisor::client
