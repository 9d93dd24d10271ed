#include "supervisor/cli/audit_options.h"

#include <string>
#include <string_view>

#include "policy/limits/limits.h"
#include "supervisor/cli/control_options.h"

namespace shmvisor {

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
           if (!size || *size == 0) {
             throw CLI::ValidationError("--audit-size",
                                        "'" + text + "' is not a number with K, M, G or T");
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

void check_audit_options(const std::function<bool(const std::string&)>& was_given,
                         const AuditOptions& options) {
  for (const char* const name : {"--audit-format", "--audit-size", "--audit-keep"}) {
    if (!was_given(name)) continue;
    if (options.place.empty())
      throw CLI::ValidationError(name, "it does nothing without --audit PLACE");
    const bool is_for_files = name != std::string_view("--audit-format");
    if (is_for_files && !is_audit_file(options.place)) {
      throw CLI::ValidationError(
          name, "it does nothing with --audit " + options.place + ", which is no file");
    }
  }
}

}  // namespace shmvisor
