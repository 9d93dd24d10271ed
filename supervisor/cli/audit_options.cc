#include "supervisor/cli/audit_options.h"

#include <cstdint>
#include <string>

#include "policy/limits/limits.h"
#include "supervisor/audit/audit_place.h"
#include "supervisor/cli/control_options.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/config/number_text.h"

namespace shmvisor {
namespace {

/// For a few records: each time that a file has its size all older ones are moved.
constexpr std::uint64_t kLeastAuditBytes = 1024;

}  // namespace

void add_audit_options(CLI::App& app, AuditOptions& options) {
  app.add_option("--audit", options.place, "Audit to stderr, syslog, journald, or a file's path")
      ->check(check_audit_place)
      ->type_name("PLACE")
      ->group(kControlGroup);
  app.add_option_function<std::string>(
         "--audit-format",
         [&options](const std::string& form) {
           options.form = form == "json" ? AuditForm::kJson : AuditForm::kText;
         },
         "How: text or json; text by default")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text")
      ->type_name("FORMAT")
      ->group(kControlGroup);
  app.add_option_function<std::string>(
         "--audit-size",
         [&options](const std::string& text) {
           const auto size = parse_size(text);
           if (!size || *size < kLeastAuditBytes) {
             throw CLI::ValidationError("--audit-size", config::no_size(text, kLeastAuditBytes));
           }
           options.most_bytes = *size;
         },
         "Begin another file at this size; 16M by default")
      ->default_str("16M")
      ->type_name("SIZE")
      ->group(kControlGroup);
  constexpr unsigned kMostKept = 1000;
  app.add_option("--audit-keep", options.kept, "Keep so many older files; 5 by default")
      ->check(CLI::Range(0U, kMostKept))
      ->default_str("5")
      ->type_name("NUMBER")
      ->group(kControlGroup);
}

}  // namespace shmvisor
