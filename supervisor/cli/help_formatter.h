// HelpFormatter: what --help prints: the usage, options in their groups, and examples, in lines of
// at most 80 columns.
//
// Thread rule: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <string_view>

namespace shmvisor {

/// What the definitions of options do not say.
struct HelpText {
  std::string_view operands = {};  ///< what follows the options, where no option defines it
  std::string_view examples = {};  ///< commands, one a line, each with "shmvisor" first
  std::string_view notes = {};     ///< one paragraph
};

/// The title over what all subcommands have.
inline constexpr const char* kCommonGroup = "Common options";

class HelpFormatter final : public CLI::FormatterBase {
 public:
  static constexpr std::size_t kColumns = 80;

  explicit HelpFormatter(const HelpText& text) : text_(text) {}

  [[nodiscard]] std::string make_help(const CLI::App* app, std::string name,
                                      CLI::AppFormatMode mode) const override;

 private:
  const HelpText text_;
};

/// `text` in lines that are `indent` columns in; the first line is there already, up to there.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns);

}  // namespace shmvisor
