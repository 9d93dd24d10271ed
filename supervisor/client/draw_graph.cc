#include "supervisor/client/graph_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {

Result<void, Problem> draw_graph(RunConnection& run, const ShowOptions& options) {
  const auto segments = fetch_segments(run, options.registry);
  if (!segments) return segments.error();
  const auto processes = fetch_processes(run, *segments);
  if (!processes) return processes.error();
  if (auto redirected = redirect(options); !redirected) return redirected;
  const HoldingGraph graph = graph_of(*processes, *segments, options.all);
  if (options.json) {
    print_json(as_json(graph));
    return {};
  }
  const std::string title = "Shared memory of " + run.hello().kind + " " + run.hello().title();
  print(options.svg ? as_svg(graph, title) : as_dot(graph, title));
  return {};
}

}  // namespace shmvisor::client
