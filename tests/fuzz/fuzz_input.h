// FuzzInput: the bytes that a fuzzer made up, read as numbers. Zeros behind their end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

namespace shmvisor {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  template <typename Number>
  Number take() {
    Number number{};
    const std::size_t size = std::min(sizeof(number), rest_.size());
    std::memcpy(&number, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return number;
  }
  /// Costs one byte. Precondition: 0 < bound <= 256.
  std::size_t below(std::size_t bound) { return take<std::uint8_t>() % bound; }
  template <typename Value>
  Value one_of(std::initializer_list<Value> values) {
    return values.begin()[below(values.size())];
  }
  std::string_view take_rest() {
    const std::string_view text(reinterpret_cast<const char*>(rest_.data()), rest_.size());
    rest_ = {};
    return text;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

/// Ends the run, so that the fuzzer keeps the input.
#define FUZZ_EXPECT(condition)                                                     \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

}  // namespace shmvisor
