// Departure: how a stopped thread goes on once it is let go. By default as if nothing had been.
//
// Thread rule: a plain value.
#pragma once

#include <cstdint>
#include <optional>

#include "supervisor/inject/arch/registers.h"

namespace shmvisor {

struct Departure {
  /// Code that it runs untraced, whatever its result.
  struct Code {
    Registers begin;
    /// Where in its memory that code finds the result, if it is told one.
    std::optional<std::uint64_t> result_address;
  };
  struct Word {
    std::uint64_t address = 0;
    std::uint64_t value = 0;
  };

  /// Of the call that it was stopped in.
  std::optional<std::int64_t> result;
  /// It makes that call again instead.
  bool repeats = false;
  std::optional<Code> code;
  /// Of its memory, once it has its registers.
  std::optional<Word> word;

  /// Where the result is to be written before it goes on.
  [[nodiscard]] std::optional<Word> result_word() const {
    if (!code || !code->result_address || !result) return std::nullopt;
    return Word{*code->result_address, static_cast<std::uint64_t>(*result)};
  }
  /// `stopped`: what they were when it stopped.
  [[nodiscard]] Registers registers(const Registers& stopped) const {
    if (code) return code->begin;
    if (repeats) return stopped.repeating();
    return result ? stopped.returning(*result) : stopped;
  }
};

}  // namespace shmvisor
