// Comparison: the two transcripts of one sequence, side by side.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "integration/differential/operation.h"
#include "integration/differential/transcript.h"

namespace shmvisor {

struct Divergence {
  std::size_t step = 0;  ///< the sequence's size where only the ends differ
  std::string operation;
  std::string field;
  std::string native;
  std::string supervised;
  std::string native_step;
  std::string supervised_step;

  /// What kind of divergence it is, whatever the numbers.
  [[nodiscard]] std::string signature() const;
};

struct Comparison {
  /// The first difference that nothing excuses.
  std::optional<Divergence> divergence;
  /// How many differences each exclusion excused.
  std::map<std::string, std::size_t> excused;
  std::size_t compared_steps = 0;
};

/// `disabled`: names of exclusions that do not count.
[[nodiscard]] Comparison compare(const Sequence& sequence, const Transcript& native,
                                 const Transcript& supervised,
                                 const std::set<std::string>& disabled = {});

}  // namespace shmvisor
