// A HoldingGraph as text: for Graphviz, as a picture, or as JSON.
//
// Names come from the supervised processes and may be anything: none ends a string of the text, or
// adds an element to it.
//
// Thread rule: any thread. Members that are missing or of another type throw an exception of
// nlohmann's.
#pragma once

#include <string>

#include "supervisor/client/holdings.h"

namespace shmvisor::client {

/// In the language of dot(1). `title`: of the whole.
[[nodiscard]] std::string as_dot(const HoldingGraph& graph, const std::string& title);
/// A picture of its own, SVG 1.1: processes at the left, segments at the right, a line for each
/// pair; dashed where the process may only read.
[[nodiscard]] std::string as_svg(const HoldingGraph& graph, const std::string& title);
[[nodiscard]] Json as_json(const HoldingGraph& graph);

/// "8 KiB", "1.5 GiB": three digits at most.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace shmvisor::client
