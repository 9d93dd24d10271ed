// The files of a configuration, and their text.
//
// Errors: a Problem, with a place that is the file as a whole. Thread rule: any thread but a main
// loop, since a disk may not answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/config/config_problem.h"

namespace shmvisor::config {

/// `path`, and the drop-ins "PATH.d/*.toml" in the order of their names. A folder that does not
/// exist has none.
[[nodiscard]] Result<std::vector<std::string>, Problem> configuration_files(
    const std::string& path);

/// Of a regular file of up to kMostTomlBytes.
[[nodiscard]] Result<std::string, Problem> read_text(const std::string& path);

struct FileText {
  std::string path;
  Result<std::string, Problem> text;
};
/// Those of configuration_files().
[[nodiscard]] std::vector<FileText> read_files(const std::string& path);
/// All of them as one text, and back again. A text that could not be read is a Problem.
[[nodiscard]] Result<std::string, Problem> as_one_text(const std::vector<FileText>& files);
[[nodiscard]] std::vector<FileText> from_one_text(std::string_view text);

}  // namespace shmvisor::config
