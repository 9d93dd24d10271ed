// Result<T>: a value or an errno, the way every fallible function here answers.
//
// Errors: errno values as <errno.h> names them, positive. No exception crosses a module.
// Thread rule: a plain value; share it as you would an int.
#pragma once

#include <cassert>
#include <cerrno>
#include <utility>
#include <variant>

namespace shmvisor {

/// An error number, positive, as in <errno.h>.
class [[nodiscard]] Errno {
 public:
  explicit constexpr Errno(int value) : value_(value) {}
  /// The calling thread's errno, to be taken right after the failing call.
  static Errno current() { return Errno(errno); }

  [[nodiscard]] constexpr int value() const { return value_; }
  friend constexpr bool operator==(Errno, Errno) = default;

 private:
  int value_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Result(Errno error) : state_(std::in_place_index<1>, error) {}         // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Precondition: ok().
  T& operator*() & { return *get(); }
  const T& operator*() const& { return *const_cast<Result*>(this)->get(); }
  T&& operator*() && { return std::move(*get()); }
  T* operator->() { return get(); }
  const T* operator->() const { return const_cast<Result*>(this)->get(); }

  /// Precondition: !ok().
  [[nodiscard]] Errno error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T* get() {
    assert(ok());
    return std::get_if<0>(&state_);
  }

  std::variant<T, Errno> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Errno error) : error_(error) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return error_ == Errno(0); }
  explicit operator bool() const { return ok(); }
  /// Precondition: !ok().
  [[nodiscard]] Errno error() const {
    assert(!ok());
    return error_;
  }

 private:
  Errno error_{0};
};

}  // namespace shmvisor
