// --config: options of `run` and `agent` from a file (supervisor/config/README.md). The command
// line and the environment win.
//
// The options are known from their definitions alone: an option that is added to a subcommand can
// be set by the file under its long name.
//
// Errors: problems of a file are printed, one a line, and end the program by CLI::RuntimeError.
// Thread rule: the main thread, but for read_and_check(), which any may call.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <set>
#include <string>

#include "supervisor/config/configuration.h"
#include "supervisor/session/steering.h"

namespace shmvisor {

class ConfigOption {
 public:
  /// `table`: "run" or "agent".
  ConfigOption(CLI::App& app, std::string table);

  /// Reads the file, where one is wanted, and sets the options of `app` that neither the command
  /// line nor the environment set.
  void apply();

  /// Empty: none.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Null without a file, or before apply().
  [[nodiscard]] const std::shared_ptr<const config::Configuration>& configuration() const {
    return configuration_;
  }
  /// Logs what stands in each other's way of its rules.
  void warn() const;
  /// What the configuration says of users' limits and of rules. Limits of registries are options.
  [[nodiscard]] Steering steering() const;
  /// Reads the file again, and logs what came of it; null without a file.
  [[nodiscard]] ReadSteering reader() const;

 private:
  CLI::App& app_;
  const std::string table_;
  std::string path_;
  std::shared_ptr<const config::Configuration> configuration_;
  std::set<std::string> settled_;  ///< options that the file does not decide
};

/// A configuration, every option of which has been tried with options of its own.
[[nodiscard]] Result<config::Configuration, config::Problems> read_and_check(
    const std::vector<config::FileText>& files);

/// The value of an option as a configuration file has it; empty where it has none.
[[nodiscard]] std::string toml_value(const CLI::Option& option,
                                     const std::vector<std::string>& values);
/// Whether it is one of the limits that `run` and `agent` both have.
[[nodiscard]] bool is_limit(const CLI::Option& option);
/// Whether a file may set the option.
[[nodiscard]] bool may_be_in_file(const CLI::App& app, const CLI::Option& option);

}  // namespace shmvisor
