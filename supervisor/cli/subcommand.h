// Subcommand: one of `shmvisor run`, `shmvisor check` and so on: its options, and what it does.
//
// CLI11 reports bad options by an exception (CLI::ParseError): while parsing, and from execute()
// for values that only execute() can check. main() catches it.
//
// Ownership: the CLI::App belongs to its parent. Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "supervisor/cli/combinations.h"
#include "supervisor/cli/help_formatter.h"
#include "supervisor/config/configuration.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class Subcommand {
 public:
  /// Adds itself to `parent`, with the options that all have.
  Subcommand(CLI::App& parent, const std::string& name, const std::string& description,
             HelpText help = {});
  Subcommand(const Subcommand&) = delete;
  Subcommand& operator=(const Subcommand&) = delete;
  virtual ~Subcommand() = default;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Whether the command line named it.
  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  /// Takes from the words after the subcommand's name those that are not for CLI11.
  virtual void take_words(std::vector<std::string>&) {}
  /// Throws CLI::ValidationError where a word is an option with nothing behind its '=': CLI11 would
  /// take the next word for its value. `words`: those for CLI11.
  void refuse_empty_values(const std::vector<std::string>& words) const;
  /// Takes options from a file, behind the command line and the environment.
  virtual void read_configuration() {}
  /// Files and sockets that options name in another way than by their values.
  [[nodiscard]] virtual std::vector<NamedFile> more_files() const { return {}; }
  /// Null where there is none.
  [[nodiscard]] virtual std::shared_ptr<const config::Configuration> configuration() const {
    return nullptr;
  }
  [[nodiscard]] CLI::App& app() const { return app_; }
  /// Takes the options that the command line did not give from elsewhere, and refuses those that do
  /// not fit together. `environment_is_read`: called in between. Throws CLI::ParseError.
  void complete_options(const std::function<void()>& environment_is_read = nullptr);
  /// Sets up the log and runs it. The exit status. `variables`: those of all subcommands; asked for
  /// where the environment has one that this one does not know.
  int execute(const std::function<std::vector<std::string>()>& variables);

 protected:
  /// Whether the command line itself gave the option: "--name".
  [[nodiscard]] bool was_given(const std::string& option) const { return given_.contains(option); }

  /// What is wrong with the path, for CLI::Option::check(); empty where nothing is. An empty path
  /// comes from an unset variable of a script.
  static std::string check_path(const std::string& path) {
    return path.empty() ? "the path is empty" : "";
  }

  /// Of a subcommand that writes no log and uses no kernel feature: --verbose, --log-level and
  /// --without are taken all the same, since scripts may give them, and helps do not show them.
  void hide_log_options();

  virtual int run(KernelFeatures& features) = 0;

 private:
  void note_given();
  /// In a sentence: by its place where it is the file's, or by its variable.
  [[nodiscard]] std::string name_of(const CLI::Option& option) const;
  void set_up_log() const;
  void switch_off(KernelFeatures& features) const;

  const std::string name_;
  CLI::App& app_;
  std::string log_level_ = "warning";
  int verbosity_ = 0;
  std::set<std::string> given_;
  std::vector<std::string> without_;
  std::string unused_;  ///< of hide_log_options()
};

}  // namespace shmvisor
