#include "integration/differential/transcript.h"

#include <algorithm>

namespace shmvisor {

Step Step::parse(std::string_view pairs) {
  Step step;
  while (!pairs.empty()) {
    const std::size_t end = std::min(pairs.find(' '), pairs.size());
    const std::string_view pair = pairs.substr(0, end);
    // Names of mappings hold no '=', their values may.
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos) {
      step.fields_.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    pairs.remove_prefix(std::min(end + 1, pairs.size()));
  }
  return step;
}

const std::string* Step::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(),
                                  [&](const Field& field) { return field.first == name; });
  return found == fields_.end() ? nullptr : &found->second;
}

std::string_view Step::value(std::string_view name) const {
  const std::string* const found = find(name);
  return found == nullptr ? "absent" : std::string_view(*found);
}

std::string Step::text() const {
  std::string text;
  for (const auto& [name, value] : fields_) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}

Transcript Transcript::parse(std::string_view text) {
  Transcript transcript;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t number_end = std::min(line.find(' '), line.size());
    const Step step = Step::parse(line.substr(number_end));
    // The last line has no number; a run that broke off leaves its reason behind a step's fields.
    if (number_end == 0 || step.has("broken")) {
      transcript.end_ = step;
    } else {
      transcript.steps_.push_back(step);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return transcript;
}

}  // namespace shmvisor
