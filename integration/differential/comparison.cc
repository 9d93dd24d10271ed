#include "integration/differential/comparison.h"

#include <algorithm>
#include <array>

#include "integration/differential/exclusions.h"

namespace shmvisor {
namespace {

/// How a run ends in which a worker mapped a segment over its own code: of CLD_KILLED, and of
/// SIGSEGV or, where it came back into the middle of other instructions, SIGILL; or with a worker
/// that does not end soon (WorkerLinks).
constexpr std::array<std::string_view, 3> kFaulted = {"-ended-with-2-11", "-ended-with-2-4",
                                                      "-executes-what-it-attached"};

/// What the interpreter counted beside nattch explains a difference there; it is none itself: the
/// kernel shows segments of the same identifier in two IPC namespaces as one file.
bool explains_nattch(std::string_view name) {
  return name.ends_with("mappings") || name.ends_with("merged") || name.ends_with("one-of-several");
}

/// In the order of the first, then what only the second has.
std::vector<Difference> differences(const Step& native, const Step& supervised) {
  std::vector<Difference> found;
  for (const auto& [name, value] : native.fields()) {
    if (explains_nattch(name)) continue;
    if (supervised.value(name) != value) found.push_back({name, value, supervised.value(name)});
  }
  for (const auto& [name, value] : supervised.fields()) {
    if (!native.has(name) && !explains_nattch(name)) found.push_back({name, "absent", value});
  }
  return found;
}

const Exclusion* excuse(const Difference& difference, const DifferenceContext& context,
                        const std::set<std::string>& disabled) {
  for (const Exclusion& exclusion : exclusions()) {
    if (!disabled.contains(std::string(exclusion.name)) && exclusion.excuses(difference, context)) {
      return &exclusion;
    }
  }
  return nullptr;
}

Divergence make_divergence(std::size_t step, std::string operation, const Difference& difference,
                           const Step& native, const Step& supervised) {
  return {step,
          std::move(operation),
          std::string(difference.field),
          std::string(difference.native),
          std::string(difference.supervised),
          native.text(),
          supervised.text()};
}

}  // namespace

std::string Divergence::signature() const {
  // "p0 shmctl s1 IPC_STAT ...": the kind and, of shmctl, the command.
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < operation.size();) {
    const std::size_t end = std::min(operation.find(' ', begin), operation.size());
    words.push_back(operation.substr(begin, end - begin));
    begin = end + 1;
  }
  std::string text = words.size() > 1 ? words[1] : "end";
  if (text == "shmctl" && words.size() > 3) text += " " + words[3];
  if (field.starts_with("at:")) return text + " mapping";
  const bool row = field.starts_with("row");
  text += " " + (row ? "row" + field.substr(field.find('.')) : field);
  const auto is_name = [](const std::string& value) {
    return !value.empty() && value[0] >= 'A' && value[0] <= 'Z';
  };
  if (field == "result") {
    text += ": " + (is_name(native) ? native : "value") + " / " +
            (is_name(supervised) ? supervised : "value");
  }
  return text;
}

Comparison compare(const Sequence& sequence, const Transcript& native, const Transcript& supervised,
                   const std::set<std::string>& disabled) {
  Comparison comparison;
  StampHistory history;
  CreatorHistory creators;
  const std::size_t steps =
      std::min({sequence.size(), native.steps().size(), supervised.steps().size()});
  for (std::size_t i = 0; i < steps; ++i) {
    const Step& one = native.steps()[i];
    const Step& other = supervised.steps()[i];
    const DifferenceContext context{sequence[i], one, other, history, creators};
    bool ended = false;
    ++comparison.compared_steps;
    if (!(one == other)) {
      for (const Difference& difference : differences(one, other)) {
        if (const Exclusion* by = excuse(difference, context, disabled)) {
          ++comparison.excused[std::string(by->name)];
          ended |= by->ends;
          continue;
        }
        comparison.divergence = make_divergence(i, to_text(sequence[i]), difference, one, other);
        return comparison;
      }
    }
    if (ended) return comparison;
    history.follow(sequence[i], one);
    creators.follow(sequence[i], one);
  }
  // Nowhere may a run break off, not even in both; but where a worker did it to itself in both.
  const bool complete =
      native.steps().size() == sequence.size() && supervised.steps().size() == sequence.size() &&
      native.end().value("end") == "reached" && supervised.end().value("end") == "reached";
  const std::string native_end = native.end().text();
  const std::string supervised_end = supervised.end().text();
  const bool faulted_alike = native.steps().size() == supervised.steps().size() &&
                             native_end == supervised_end &&
                             std::any_of(kFaulted.begin(), kFaulted.end(),
                                         [&](auto fault) { return native_end.ends_with(fault); });
  if (!complete && !faulted_alike) {
    comparison.divergence =
        make_divergence(steps, steps < sequence.size() ? to_text(sequence[steps]) : "end",
                        {"end", native_end, supervised_end}, native.end(), supervised.end());
  }
  return comparison;
}

}  // namespace shmvisor
