#include "supervisor/config/table_reader.h"

#include <algorithm>

#include "supervisor/config/nearest.h"

namespace shmvisor::config {
namespace {

constexpr std::size_t kLongestShown = 64;

/// In quotation marks, with what is no printable ASCII as '?'.
std::string quoted(const std::string& word) {
  std::string shown = word.substr(0, kLongestShown);
  std::replace_if(
      shown.begin(), shown.end(), [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return "'" + shown + (word.size() > kLongestShown ? "...'" : "'");
}

}  // namespace

const TomlMember* TableReader::find(const std::string& key) const {
  const auto found = std::find_if(table_.members.begin(), table_.members.end(),
                                  [&key](const TomlMember& one) { return one.key == key; });
  return found == table_.members.end() ? nullptr : &*found;
}

const TomlMember* TableReader::take(const std::string& key) {
  known_.insert(key);
  return find(key);
}

const TomlMember* TableReader::take(const std::string& key, TomlValue::Kind kind,
                                    const char* wanted) {
  const TomlMember* const member = take(key);
  if (member == nullptr || member->value.kind == kind) return member;
  blame(member->value.place,
        key + " is to be " + wanted + ", and here is " + member->value.kind_name());
  return nullptr;
}

std::vector<const TomlValue*> TableReader::take_list(const std::string& key) {
  const TomlMember* const member = take(key);
  if (member == nullptr) return {};
  if (member->value.kind != TomlValue::Kind::kArray) return {&member->value};
  if (member->value.items.empty()) blame(member->value.place, key + " is an empty list");
  std::vector<const TomlValue*> values;
  for (const TomlValue& item : member->value.items) values.push_back(&item);
  return values;
}

void TableReader::blame(const Place& place, const std::string& text) {
  if (problems_.size() <= kMostProblems) problems_.push_back({place, text});
}

void TableReader::finish() {
  for (const TomlMember& member : table_.members) {
    if (problems_.size() > kMostProblems) return;  // the nearest key takes a while
    if (known_.contains(member.key)) continue;
    blame(member.place,
          no_such("key", member.key, {known_.begin(), known_.end()}) + " (in " + title_ + ")");
  }
}

std::string no_such(const std::string& what, const std::string& word,
                    const std::vector<std::string>& known) {
  return "there is no " + what + " " + quoted(word) + did_you_mean(nearest_word(word, known));
}

}  // namespace shmvisor::config
