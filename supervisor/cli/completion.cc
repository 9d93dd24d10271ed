#include "supervisor/cli/completion.h"

#include <cstddef>

#include "supervisor/cli/option_list.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<std::string> kernel_features() {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < static_cast<std::size_t>(KernelFeature::kCount); ++at) {
    names.emplace_back(KernelFeatures::name(static_cast<KernelFeature>(at)));
  }
  return names;
}

}  // namespace

Completed completed_value(const CLI::App& used, const CLI::Option& option) {
  using Kind = Completed::Kind;
  if (is_flag(option)) return {};
  if (const auto words = known_values(option); !words.empty()) return {Kind::kWords, joined(words)};
  const std::string name = main_name(option);
  const std::string value = value_name(option);
  if (value == "PATH" || value == "FILE" || name == "FILE") return {Kind::kFile};
  if (name == "--audit") return {Kind::kWords, "stderr syslog journald"};
  if (name == "ID" || name == "NUMBER") return {Kind::kSegments};
  if (value == "FEATURE") return {Kind::kWords, joined(kernel_features())};
  // Where a run is chosen, and not named.
  const bool chooses = used.get_option_no_throw("--pid") != nullptr;
  if (name == "--name" && chooses) return {Kind::kRun};
  return {};
}

}  // namespace shmvisor
