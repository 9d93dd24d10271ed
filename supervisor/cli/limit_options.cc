#include "supervisor/cli/limit_options.h"

#include <string>

namespace shmvisor {
namespace {

std::uint64_t size_or_throw(const std::string& text, const char* option) {
  const auto size = parse_size(text);
  if (!size) {
    throw CLI::ValidationError(option, "'" + text + "' is not a number with K, M, G or T");
  }
  return *size;
}

}  // namespace

void add_limit_options(CLI::App& app, Limits& limits) {
  app.add_option_function<std::string>(
         "--shmmax",
         [&limits](const std::string& text) { limits.shmmax = size_or_throw(text, "--shmmax"); },
         "Largest segment, in bytes (K, M, G, T)")
      ->type_name("SIZE");
  app.add_option_function<std::string>(
         "--shmall",
         [&limits](const std::string& text) { limits.shmall = size_or_throw(text, "--shmall"); },
         "All segments together, in pages of 4 KiB (K, M, G, T)")
      ->type_name("PAGES");
  app.add_option_function<std::string>(
         "--shmmni",
         [&limits](const std::string& text) {
           const auto shmmni = parse_shmmni(text);
           if (!shmmni) throw CLI::ValidationError("--shmmni", "at most 32768");
           limits.shmmni = *shmmni;
         },
         "Most segments at a time")
      ->type_name("NUMBER");
}

}  // namespace shmvisor
