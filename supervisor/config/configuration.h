// Configuration: what a configuration file and its drop-ins say, checked as far as that is possible
// without the options that they set. supervisor/config/README.md lists the keys.
//
// Options of `run` and `agent` are set by their long names. Which there are, and of what kind, is
// told from outside: the command line defines them, and nobody else does.
//
// Errors: all Problems that were found, with their places. Thread rule: plain values; reading files
// may wait for their disk, so it is not for a main loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "policy/limits/user_limits.h"
#include "policy/rules/rule.h"
#include "supervisor/config/accounts.h"
#include "supervisor/config/config_files.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/config/rule_text.h"
#include "supervisor/config/toml_document.h"

namespace shmvisor::config {

/// An option that a file may set.
struct KnownOption {
  enum class Kind : std::uint8_t {
    kFlag,        ///< true or false
    kNumber,      ///< a number, or text with a number
    kText,        ///< text
    kTextOrFlag,  ///< text, or true for the option without a value
    kList,        ///< text, or a list of it
  };

  std::string name;  ///< "shmmax"
  Kind kind = Kind::kText;
};

struct KnownOptions {
  std::vector<KnownOption> limits;  ///< of `run` and `agent` both, in the table [limits]
  std::vector<KnownOption> run;
  std::vector<KnownOption> agent;
  Accounts accounts = Accounts();  ///< whom names of users and groups stand for
};

struct OptionSetting {
  std::string name;
  std::vector<std::string> values;  ///< as on the command line
  Place place;

  friend bool operator==(const OptionSetting& one, const OptionSetting& other) {
    return one.name == other.name && one.values == other.values;
  }
};
using OptionSettings = std::vector<OptionSetting>;

/// One of [limits.uid.USER], or of [limits.uid.default].
struct UserSetting {
  std::string value;
  Place place;
  std::string user;  ///< as the file has it: a name or a number
};
/// By uid (nothing: of each user) and name ("shmmax", "shmall" or "shmmni"): there may be as many
/// as a file has lines.
using UserSettings = std::map<std::pair<std::optional<std::uint32_t>, std::string>, UserSetting>;

struct Configuration {
  OptionSettings limits;
  OptionSettings run;
  OptionSettings agent;
  UserSettings user_settings;  ///< what user_limits were set by
  UserLimits user_limits;
  std::vector<Rule> rules;
  std::vector<Place> rule_places;     ///< of each of the rules
  std::vector<RuleNames> rule_names;  ///< the same

  /// The settings of "run" or "agent", limits first.
  [[nodiscard]] OptionSettings options_of(const std::string& subcommand) const;
};

/// Adds what one file says: a later setting takes the place of an earlier one, rules come behind
/// those that are there.
void add_document(Configuration& configuration, const TomlValue& document,
                  const KnownOptions& known, Problems& problems);

/// Without what `problems` tells of, so that what is left can be looked at too.
[[nodiscard]] Configuration read_as_far_as_it_goes(const std::vector<FileText>& files,
                                                   const KnownOptions& known, Problems& problems);

/// Each file's by line and column, the files as they come in `problems`; as many as are told,
/// and a line where there are more.
[[nodiscard]] Problems in_order(Problems problems);

/// The file, and the drop-ins PATH.d/*.toml in the order of their names. Files are regular ones of
/// up to kMostTomlBytes.
[[nodiscard]] Result<Configuration, Problems> read_configuration(const std::string& path,
                                                                 const KnownOptions& known);

}  // namespace shmvisor::config
