// --audit and what goes with it, of what serves calls.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "supervisor/audit/audit_place.h"

namespace shmvisor {

/// `options` must outlive `app`. A bad value is a CLI::ValidationError that names the option.
void add_audit_options(CLI::App& app, AuditOptions& options);

/// A CLI::ValidationError where one of them was given that does nothing. `was_given`: by the
/// command line itself; the environment and a file may be for several runs, of which some have an
/// audit.
void check_audit_options(const std::function<bool(const std::string&)>& was_given,
                         const AuditOptions& options);

}  // namespace shmvisor
