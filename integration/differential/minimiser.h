// Minimiser: delta debugging (Zeller, ddmin) of a sequence.
#pragma once

#include <functional>

#include "integration/differential/operation.h"

namespace shmvisor {

/// The smallest sequence found, by leaving operations out, for which `fails` still holds.
/// Precondition: fails(sequence).
[[nodiscard]] Sequence minimise(Sequence sequence,
                                const std::function<bool(const Sequence&)>& fails);

}  // namespace shmvisor
