// The result of a session as an SVG: time against native, logarithmic, by gnuplot where installed.
//
// Errors: a sentence that says why there is no plot. Thread rule: one thread.
#pragma once

#include <string>

#include "integration/bench/session.h"

namespace shmvisor {

/// Empty where the plot was written.
std::string write_plot(const Session& session, const std::string& path);

}  // namespace shmvisor
