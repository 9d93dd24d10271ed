// KeptDescriptors: which descriptors a next server takes over.
//
// Keeper and servers share one table of descriptors, so all that a server had open stays open when
// it dies. What only that server knew of (pidfds, sockets of clients, its event loop's) is closed
// before the next one begins; what is named here is not.
//
// Errors: a descriptor beyond kMost is not kept. Ownership: none; it lies in the KeeperPage. Thread
// rule: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shmvisor {

class KeptDescriptors {
 public:
  /// What the kernel allows by default, fs.nr_open of proc(5).
  static constexpr int kMost = 1 << 20;

  /// This process's; null where it has no keeper.
  static KeptDescriptors* current() { return current_; }
  /// Once, before there are threads.
  static void use(KeptDescriptors* kept) { current_ = kept; }

  void keep(int fd) {
    if (fd < 0 || fd >= kMost) return;
    word(fd).fetch_or(bit(fd));
    for (int end = end_.load(); end <= fd && !end_.compare_exchange_weak(end, fd + 1);) {
    }
  }
  void drop(int fd) {
    if (fd >= 0 && fd < kMost) word(fd).fetch_and(~bit(fd));
  }
  [[nodiscard]] bool kept(int fd) const {
    return fd >= 0 && fd < kMost && (word(fd).load() & bit(fd)) != 0;
  }
  /// What is kept may change meanwhile.
  template <typename Each>
  void for_each(Each each) const {
    for (int fd = 0; fd < end_.load(); ++fd) {
      if (kept(fd)) each(fd);
    }
  }

 private:
  static constexpr int kBits = 64;

  static inline KeptDescriptors* current_ = nullptr;

  using Word = std::atomic_ref<std::uint64_t>;
  [[nodiscard]] Word word(int fd) const {
    return Word(words_[static_cast<std::size_t>(fd / kBits)]);
  }
  static std::uint64_t bit(int fd) { return std::uint64_t{1} << (fd % kBits); }
  /// Zero from the start, as new pages are: no initializer touches them.
  mutable std::array<std::uint64_t, kMost / kBits> words_;
  std::atomic<int> end_{0};  ///< none has been kept from here on
};

/// One that is kept for as long as this lives, where this process has a keeper.
class KeptDescriptor {
 public:
  explicit KeptDescriptor(int fd) : fd_(fd) {
    if (KeptDescriptors* const all = KeptDescriptors::current()) all->keep(fd_);
  }
  KeptDescriptor(const KeptDescriptor&) = delete;
  KeptDescriptor& operator=(const KeptDescriptor&) = delete;
  ~KeptDescriptor() {
    if (KeptDescriptors* const all = KeptDescriptors::current()) all->drop(fd_);
  }

 private:
  const int fd_;
};

/// Calls `take` with every descriptor of this process but those that are kept, and `own_folder`.
/// It may close them. Allocates nothing. `own_folder`: /proc/self/fd, opened before all descriptors
/// may be taken. False where they cannot be listed.
bool for_each_descriptor_but(int own_folder, const KeptDescriptors& kept,
                             void (*take)(int fd, void* context), void* context);

}  // namespace shmvisor
