// BitClaim: one bit of a word that all threads share, for as long as this is there. Keeps other
// threads of the supervisor from what the bit stands for: a slot, a descriptor number.
//
// Ownership: borrows the word. Thread rule: each claim is one thread's; nobody waits for a bit.
#pragma once

#include <atomic>

namespace shmvisor {

template <typename Word>
class BitClaim {
 public:
  /// Precondition: `bit` is below the number of bits of a Word.
  BitClaim(std::atomic<Word>& claimed, unsigned bit)
      : claimed_(claimed), mask_(Word{1} << bit), held_((claimed.fetch_or(mask_) & mask_) == 0) {}
  BitClaim(const BitClaim&) = delete;
  BitClaim& operator=(const BitClaim&) = delete;
  ~BitClaim() {
    if (held_) claimed_.fetch_and(~mask_);
  }

  /// False where another thread has it.
  [[nodiscard]] bool held() const { return held_; }

 private:
  std::atomic<Word>& claimed_;
  const Word mask_;
  const bool held_;
};

}  // namespace shmvisor
