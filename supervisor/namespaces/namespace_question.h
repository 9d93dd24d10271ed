// NamespaceQuestion: whether a namespace that we hold open is there without us, which the kernel
// alone knows: a descriptor on its way through a socket, in a table of io_uring's, or a mount in a
// mount namespace that nobody lives in shows nowhere in /proc.
//
// The namespace has a handle that holds nothing (name_to_handle_at(2), Linux 6.18). So our file is
// let go, and opened again by the handle: ESTALE where nobody else held the namespace. Its number
// may be another namespace's at once then. Whoever asks sees to it that nobody takes that for ours.
//
// The descriptor keeps its number throughout, for which other threads would open files else.
//
// Errors: none where the kernel cannot be asked: before Linux 6.18, and without CAP_SYS_ADMIN in
// the namespace's user namespace. Ownership: borrows the descriptor. Thread rule: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class NamespaceQuestion {
 public:
  enum class Answer : std::uint8_t {
    kLives,
    kGone,
    kNotHeld,  ///< it may live: no descriptor of it was to be had just now, see ask_again()
  };

  /// Nothing where the kernel cannot be asked of this file. Waits for nobody.
  static std::optional<NamespaceQuestion> of(int file, KernelFeatures& features);

  /// Waits for nobody, and so may be called with a lock held. Unless it lives, the number has no
  /// namespace's file any more.
  [[nodiscard]] Answer ask();
  /// After kNotHeld.
  [[nodiscard]] Answer ask_again();
  /// The file that ask() has opened only refers to the namespace. From here on it is one that can
  /// be asked for more (ioctl_nsfs(2)). May wait for whoever watches it.
  void open_in_full() const;

 private:
  /// As large as struct file_handle and the longest handle.
  static constexpr std::size_t kHandleBytes = 8 + 128;

  NamespaceQuestion() = default;
  /// The number of a descriptor; an errno negated.
  [[nodiscard]] int open(int flags);

  int file_ = -1;
  UniqueFd placeholder_;
  alignas(8) std::array<std::byte, kHandleBytes> handle_{};
};

}  // namespace shmvisor
