#include "supervisor/cli/limit_options.h"

#include <string>

namespace shmvisor {
namespace {

std::uint64_t size_or_throw(const std::string& text, const char* option) {
  const auto size = parse_size(text);
  if (!size) throw CLI::ValidationError(option, no_size(text));
  return *size;
}

}  // namespace

std::string no_size(const std::string& text, std::uint64_t least) {
  return "'" + text + "' is no whole number from " + std::to_string(least) + " to " +
         std::to_string(UINT64_MAX) + ", alone or with K, M, G or T";
}

std::string no_shmmni(const std::string& text) {
  return "'" + text + "' is no number up to " + std::to_string(Limits::ipcmni);
}

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
           if (!shmmni) throw CLI::ValidationError("--shmmni", no_shmmni(text));
           limits.shmmni = *shmmni;
         },
         "Most segments at a time, up to 32768")
      ->type_name("NUMBER")
      ->default_str(std::to_string(Limits().shmmni))
      ->group(kLimitsGroup);
}

}  // namespace shmvisor
