// --audit and what goes with it, of what serves calls.
#pragma once

#include <CLI/CLI.hpp>

#include "supervisor/audit/audit_place.h"

namespace shmvisor {

/// `options` must outlive `app`. A bad value is a CLI::ValidationError that names the option.
void add_audit_options(CLI::App& app, AuditOptions& options);

}  // namespace shmvisor
