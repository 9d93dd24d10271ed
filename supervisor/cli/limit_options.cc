#include "supervisor/cli/limit_options.h"

#include <string>

#include "supervisor/config/number_text.h"

namespace shmvisor {
namespace {

std::uint64_t size_or_throw(const std::string& text, const char* option) {
  const auto size = parse_size(text);
  if (!size) throw CLI::ValidationError(option, config::no_size(text));
  return *size;
}

}  // namespace

void add_limit_options(CLI::App& app, Limits& limits) {
  app.add_option_function<std::string>(
         "--shmmax",
         [&limits](const std::string& text) { limits.shmmax = size_or_throw(text, "--shmmax"); },
         "Largest segment, in bytes (K, M, G, T)")
      ->type_name("SIZE")
      ->default_str(std::to_string(Limits().shmmax))
      ->group(kLimitsGroup);
  app.add_option_function<std::string>(
         "--shmall",
         [&limits](const std::string& text) { limits.shmall = size_or_throw(text, "--shmall"); },
         "All segments together, in 4 KiB pages (K, M, G, T)")
      ->type_name("PAGES")
      ->default_str(std::to_string(Limits().shmall))
      ->group(kLimitsGroup);
  app.add_option_function<std::string>(
         "--shmmni",
         [&limits](const std::string& text) {
           const auto shmmni = parse_shmmni(text);
           if (!shmmni) throw CLI::ValidationError("--shmmni", config::no_shmmni(text));
           limits.shmmni = *shmmni;
         },
         "Most segments at a time, up to 32768")
      ->type_name("NUMBER")
      ->default_str(std::to_string(Limits().shmmni))
      ->group(kLimitsGroup);
}

}  // namespace shmvisor
