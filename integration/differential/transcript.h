// Transcript: what TranscriptWriter wrote, read again.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shmvisor {

/// What one operation showed, in the order it was written.
class Step {
 public:
  using Field = std::pair<std::string, std::string>;

  /// FIELD=VALUE pairs, with a space before each.
  [[nodiscard]] static Step parse(std::string_view pairs);
  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
  /// "absent" where there is no such field.
  [[nodiscard]] std::string_view value(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Step&, const Step&) = default;

 private:
  [[nodiscard]] const std::string* find(std::string_view name) const;
  std::vector<Field> fields_;
};

class Transcript {
 public:
  [[nodiscard]] static Transcript parse(std::string_view text);
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  /// How it ended: "end=reached", or why not.
  [[nodiscard]] const Step& end() const { return end_; }

 private:
  std::vector<Step> steps_;
  Step end_;
};

}  // namespace shmvisor
