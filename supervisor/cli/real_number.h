// A check of options that are numbers with a fraction.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace shmvisor {

/// As CLI::Range and in its words; but "nan", which is neither above nor below, is in no range.
inline CLI::Validator real_number(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) -> std::string {
        double number = 0;
        const bool fits =
            CLI::detail::lexical_cast(text, number) && number >= least && number <= most;
        if (fits) return {};
        return "Value " + text + " not in range " + std::to_string(least) + " to " +
               std::to_string(most);
      },
      "", "NUMBER");
}

}  // namespace shmvisor
