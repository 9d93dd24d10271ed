#include "supervisor/cli/plain_words.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "supervisor/config/nearest.h"

namespace shmvisor {
namespace {

/// Of "--proc: fusee" what is before the value, and the value.
struct Parts {
  std::string head;
  std::string value;
};

Parts split(std::string_view text, std::string_view before_value) {
  const std::size_t colon = text.find(": ");
  const std::size_t begin = colon == std::string_view::npos ? 0 : colon + 2;
  Parts parts{std::string(text.substr(0, begin)), std::string(text.substr(begin))};
  if (parts.value.starts_with(before_value)) parts.value.erase(0, before_value.size());
  return parts;
}

std::vector<std::string> words_between_commas(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    words.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return words;
}

/// "3600.000000" as "3600"
std::string short_number(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

/// What CLI11 says of an option: its name, `words`, and how it goes on. Nothing where it is not so.
std::optional<Parts> parts_around(std::string_view text, std::string_view words) {
  const std::size_t at = text.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  return Parts{std::string(text.substr(0, at)), std::string(text.substr(at + words.size()))};
}

}  // namespace

std::string enumerated(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t at = 0; at < words.size(); ++at) {
    text += (at == 0 ? "" : at + 1 == words.size() ? " and " : ", ") + words[at];
  }
  return text;
}

std::string in_plain_words(const std::string& clause) {
  constexpr std::string_view kNotIn = " not in {";
  constexpr std::string_view kOutOfRange = " not in range ";
  constexpr std::string_view kTo = " to ";
  constexpr std::string_view kRequired = "1 required ";
  constexpr std::string_view kMissing = " missing";
  const std::string_view text = clause;
  if (const std::size_t at = text.find(kNotIn); at != std::string::npos && text.ends_with('}')) {
    const auto [head, value] = split(text.substr(0, at), "");
    const std::size_t begin = at + kNotIn.size();
    const auto known = words_between_commas(text.substr(begin, text.size() - 1 - begin));
    return head + "'" + value + "' is none of " + enumerated(known) +
           did_you_mean(nearest_word(value, known));
  }
  if (const std::size_t at = text.find(kOutOfRange); at != std::string::npos) {
    const auto [head, value] = split(text.substr(0, at), "Value ");
    const std::string_view range = text.substr(at + kOutOfRange.size());
    const std::size_t to = range.find(kTo);
    if (to == std::string::npos) return clause;
    return head + "'" + value + "' is no number from " +
           short_number(std::string(range.substr(0, to))) + kTo.data() +
           short_number(std::string(range.substr(to + kTo.size())));
  }
  if (text.ends_with(kMissing)) {
    const auto [head, what] = split(text.substr(0, text.size() - kMissing.size()), kRequired);
    if (!head.empty() && text.substr(head.size()).starts_with(kRequired)) {
      // Behind a colon CLI11 says what its validators check.
      return head + "its " + what.substr(0, what.find(':')) + " is missing";
    }
  }
  constexpr std::string_view kNotConverted = "Could not convert: ";
  if (text.starts_with(kNotConverted)) {
    // Numbers have ranges, so this is a flag's.
    const auto parts = parts_around(text.substr(kNotConverted.size()), " = ");
    if (parts) return parts->head + ": '" + parts->value + "' is neither true nor false";
  }
  if (const auto parts = parts_around(text, ": Should be true/false or a number")) {
    return parts->head + ": its value is neither true nor false, nor a number";
  }
  if (const auto parts = parts_around(text, ": At Most 1 required but received ")) {
    return parts->head + " is given " + (parts->value == "2" ? "twice" : parts->value + " times") +
           ", and has one value";
  }
  if (const auto parts = parts_around(text, ": too many inputs for a flag")) {
    return parts->head + " is given more than once";
  }
  return clause;
}

}  // namespace shmvisor
