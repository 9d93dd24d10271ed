#include "supervisor/cli/help_formatter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "supervisor/cli/option_list.h"

namespace shmvisor {
namespace {

constexpr std::size_t kMostNameColumns = 24;
constexpr std::size_t kIndent = 2;

/// What is on the left, and what is said of it.
using Row = std::pair<std::string, std::string>;

struct Group {
  std::string title;
  std::vector<Row> rows;
};

void add(std::vector<Group>& groups, const std::string& title, Row row) {
  const auto known = std::find_if(groups.begin(), groups.end(),
                                  [&title](const Group& one) { return one.title == title; });
  if (known != groups.end()) {
    known->rows.push_back(std::move(row));
  } else {
    groups.push_back({title, {std::move(row)}});
  }
}

std::vector<Group> groups_of(const CLI::App& app) {
  std::vector<Group> groups;
  for (const CLI::App* const one : named_subcommands(app)) {
    if (one->get_group().empty()) continue;
    add(groups, one->get_group(), {one->get_name(), one->get_description()});
  }
  const auto options = visible_options(app);
  const auto take = [&](auto wanted) {
    for (const CLI::Option* const option : options) {
      if (!wanted(*option)) continue;
      add(groups, option->get_group(), {spelling(*option), option->get_description()});
    }
  };
  // What only this subcommand has comes before what all of them have.
  const auto is_common = [&app](const CLI::Option& option) {
    return option.get_group() == kCommonGroup || &option == app.get_help_ptr();
  };
  take([&](const CLI::Option& option) { return !is_common(option); });
  take(is_common);
  return groups;
}

std::string rows_text(const std::vector<Group>& groups) {
  std::size_t widest = 0;
  for (const Group& group : groups) {
    for (const Row& row : group.rows) {
      if (row.first.size() <= kMostNameColumns) widest = std::max(widest, row.first.size());
    }
  }
  const std::size_t indent = kIndent + widest + 2;
  std::string text;
  for (const Group& group : groups) {
    text += "\n" + group.title + ":\n";
    for (const auto& [name, description] : group.rows) {
      text += std::string(kIndent, ' ') + name;
      text += name.size() <= widest ? std::string(indent - kIndent - name.size(), ' ')
                                    : "\n" + std::string(indent, ' ');
      text += wrapped(description, indent, HelpFormatter::kColumns) + "\n";
    }
  }
  return text;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  std::string lines;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (column > indent && column + 1 + word.size() > columns) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += word.size();
  }
  return lines;
}

namespace {

/// "[ID...]", out of the definitions.
std::string operands_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* const option : visible_options(app)) {
    if (!is_operand(*option)) continue;
    text += option->get_required() ? " " + spelling(*option) : " [" + spelling(*option) + "]";
  }
  return text;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode /*mode*/) const {
  std::string text = "Usage: " + name + (named_subcommands(*app).empty() ? "" : " SUBCOMMAND") +
                     " [OPTION]..." + operands_of(*app) + std::string(text_.operands) + "\n\n";
  text += wrapped(app->get_description(), 0, kColumns) + "\n" + rows_text(groups_of(*app));
  if (!text_.examples.empty()) {
    text += "\nExamples:\n";
    for (std::string_view left = text_.examples; !left.empty();) {
      const std::string_view line = left.substr(0, left.find('\n'));
      left.remove_prefix(std::min(line.size() + 1, left.size()));
      text += "  " + std::string(line) + "\n";
    }
  }
  if (!text_.notes.empty()) text += "\n" + wrapped(text_.notes, 0, kColumns) + "\n";
  return text;
}

}  // namespace shmvisor
