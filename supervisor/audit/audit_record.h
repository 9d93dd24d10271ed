// AuditRecord: one thing that happened and that an operator may have to account for: a refusal, or
// an act of an administrator's. An event and named values.
//
// The names are promised: README, "Audit". Thread rule: a plain value.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace shmvisor {

struct AuditField {
  const char* name;
  std::string value;
  bool is_number;
};

class AuditRecord {
 public:
  using Clock = std::chrono::system_clock;

  /// `event`: one word.
  explicit AuditRecord(const char* event) : AuditRecord(event, Clock::now()) {}
  AuditRecord(const char* event, Clock::time_point time) : event_(event), time_(time) {}

  AuditRecord& add(AuditField field) {
    fields_.push_back(std::move(field));
    return *this;
  }

  AuditRecord& add(const char* name, std::string value) {
    fields_.push_back({name, std::move(value), false});
    return *this;
  }
  template <std::integral Number>
  AuditRecord& add(const char* name, Number number) {
    fields_.push_back({name, std::to_string(number), true});
    return *this;
  }

  /// As ipcs(1) shows keys.
  AuditRecord& add_key(const char* name, std::uint32_t key) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%08x", key);
    return add(name, std::string(text.data()));
  }
  /// As chmod(1) takes modes.
  AuditRecord& add_mode(const char* name, unsigned mode) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode);
    return add(name, std::string(text.data()));
  }

  [[nodiscard]] const char* event() const { return event_; }
  [[nodiscard]] Clock::time_point time() const { return time_; }
  [[nodiscard]] const std::vector<AuditField>& fields() const { return fields_; }

 private:
  const char* event_;
  Clock::time_point time_;
  std::vector<AuditField> fields_;
};

}  // namespace shmvisor
