#include "supervisor/control/table_parts.h"

#include <utility>

namespace shmvisor {

control::Json TableParts::Part::segments() const {
  control::Json segments = control::Json::array();
  for (std::size_t place = 0; place < rows.size(); ++place) {
    segments.push_back(control::describe(rows[place], facts[place]));
  }
  return segments;
}

int TableParts::add(std::shared_ptr<Registry> registry, int first_index, std::size_t most) {
  control::OurViewpoint viewpoint;
  auto rows = registry->rows(viewpoint,
                             {.first_index = first_index, .most = most, .count_attaches = false});
  Part part{std::move(registry), {}, {}};
  int behind = IdSpace::kMaxIds;
  if (rows && !rows->empty()) {
    if (rows->size() == most) behind = IdSpace::index_of(rows->back().id) + 1;
    part.facts = control::facts_of(*rows, *part.registry);
    part.rows = std::move(*rows);
    rows_ += part.rows.size();
  }
  parts_.push_back(std::move(part));
  return behind;
}

Result<void> TableParts::count_attaches() {
  std::vector<std::shared_ptr<Segment>> mapped;
  std::vector<ShmidDs*> described;
  for (Part& part : parts_) {
    for (std::size_t place = 0; place < part.rows.size(); ++place) {
      const auto& segment = part.facts[place].segment;
      if (!segment->in_use()) continue;
      part.is_counted = false;
      mapped.push_back(segment);
      described.push_back(&part.rows[place].ds);
    }
  }
  if (mapped.empty()) return {};
  // All registries of a session ask the same host.
  const auto counts = parts_.front().registry->count_attaches(mapped);
  if (!counts) return counts.error();
  for (std::size_t i = 0; i < described.size(); ++i) described[i]->nattch = (*counts)[i];
  for (Part& part : parts_) part.is_counted = true;
  return {};
}

}  // namespace shmvisor
