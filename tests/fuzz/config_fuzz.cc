// A configuration file, whatever is in it: it is read, or refused with a place in it; and rules
// that were read are the same when what `config show` prints of them is read again.
#include <cstdlib>
#include <string>

#include "supervisor/config/configuration.h"
#include "supervisor/config/rule_text.h"
#include "supervisor/config/rule_warnings.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;
using namespace shmvisor::config;
using Option = KnownOption::Kind;

const KnownOptions& known() {
  static const KnownOptions options = {
      {{"shmmax", Option::kNumber}, {"shmall", Option::kNumber}, {"shmmni", Option::kNumber}},
      {{"populate", Option::kFlag}, {"without", Option::kList}, {"report", Option::kTextOrFlag}},
      {{"socket", Option::kText}}};
  return options;
}

Configuration read(std::string_view text, Problems& problems) {
  Configuration configuration;
  const auto document = parse_toml(text, "x");
  if (document) {
    add_document(configuration, *document, known(), problems);
  } else {
    problems.push_back(document.error());
  }
  return configuration;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const std::string_view text = input.take_rest();
  Problems problems;
  const Configuration configuration = read(text, problems);
  FUZZ_EXPECT(problems.size() <= kMostProblems + 1);
  for (const Problem& problem : problems) {
    FUZZ_EXPECT(!problem.text.empty() && problem.text.find('\n') == std::string::npos);
    FUZZ_EXPECT(problem.place.line <= size + 1);
  }
  FUZZ_EXPECT(configuration.rules.size() == configuration.rule_places.size());
  FUZZ_EXPECT(warn_of_rules(configuration).size() <= kMostProblems + 1);
  if (!problems.empty()) return 0;
  std::string shown;
  for (const Rule& rule : configuration.rules) shown += "[[rule]]\n" + rule_text(rule);
  const Configuration again = read(shown, problems);
  FUZZ_EXPECT(problems.empty() || shown.size() > kMostTomlBytes);
  if (!problems.empty()) return 0;
  FUZZ_EXPECT(again.rules.size() == configuration.rules.size());
  for (std::size_t place = 0; place < again.rules.size(); ++place) {
    Rule rule = again.rules[place];
    rule.line = configuration.rules[place].line;
    FUZZ_EXPECT(rule == configuration.rules[place]);
  }
  return 0;
}
