#include "supervisor/client/web_state.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "emulation/abi/abi.h"
#include "supervisor/client/graph_text.h"
#include "supervisor/client/holdings.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kMostSegments = 400;
constexpr std::size_t kMostProcesses = 300;

Json described(const RegistrySample& registry) {
  Json calls = Json::array();
  for (const RegistrySample::Call& call : registry.calls) {
    calls.push_back({{"name", call.name},
                     {"calls", call.calls},
                     {"errors", call.errors},
                     {"took_ns", call.took_ns}});
  }
  Json refusals = Json::array();
  for (const auto& [reason, count] : registry.refusals) {
    refusals.push_back(Json::array({reason, count}));
  }
  return {{"name", registry.name},
          {"segments", registry.segments},
          {"removed_segments", registry.removed_segments},
          {"attaches", registry.attaches},
          {"pages", registry.pages},
          {"resident_pages", registry.resident_pages},
          {"swapped_pages", registry.swapped_pages},
          {"shmmni", registry.shmmni},
          {"shmmax", registry.shmmax},
          {"shmall", registry.shmall},
          {"calls", std::move(calls)},
          {"refusals", std::move(refusals)}};
}

/// The largest; the others are counted.
void shorten(RunView& view) {
  const auto size = [](const Json& segment) { return segment.at("segsz").get<std::uint64_t>(); };
  std::stable_sort(view.segments.begin(), view.segments.end(),
                   [&](const Json& one, const Json& other) { return size(one) > size(other); });
  if (view.segments.size() > kMostSegments) {
    view.segments_left_out += view.segments.size() - kMostSegments;
    view.segments.resize(kMostSegments);
  }
  if (!view.processes || view.processes->size() <= kMostProcesses) return;
  std::stable_sort(view.processes->begin(), view.processes->end(),
                   [](const SupervisedProcess& one, const SupervisedProcess& other) {
                     return one.held.size() > other.held.size();
                   });
  view.processes->resize(kMostProcesses);
}

}  // namespace

Json web_state(RunView view) {
  shorten(view);
  const RunConnection::Hello& hello = view.sample.hello;
  const bool sees_processes = view.processes.has_value();
  Json state = {
      {"run",
       {{"kind", hello.kind},
        {"title", hello.title()},
        {"version", hello.version},
        {"page_bytes", kPageBytes}}},
      {"time",
       std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()},
      {"sees_processes", sees_processes}};
  Json registries = Json::array();
  for (const RegistrySample& registry : view.sample.registries) {
    registries.push_back(described(registry));
  }
  state["registries"] = std::move(registries);
  const std::vector<SupervisedProcess> none;
  Json graph = as_json(graph_of(sees_processes ? *view.processes : none, view.segments,
                                /*with_idle=*/true));
  for (Json& segment : graph.at("segments")) {
    segment["creator"] = creator_of(segment, hello.has_our_pids());
  }
  state.update(graph);
  state["segments_left_out"] = view.segments_left_out;
  return state;
}

}  // namespace shmvisor::client
