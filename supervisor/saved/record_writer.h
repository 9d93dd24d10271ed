// RecordWriter: writes records one behind the other, with their headers.
//
// Ownership: borrows the descriptor. Errors: those of write(2). Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/saved/record.h"

namespace shmvisor::saved {

class RecordWriter {
 public:
  explicit RecordWriter(int fd) : fd_(fd) {}

  /// All but an End.
  Result<void> write(const Record& record);
  /// The End, and what is not written yet.
  Result<void> finish();

  [[nodiscard]] std::uint64_t contents_bytes() const { return end_.contents_bytes; }
  [[nodiscard]] std::uint32_t segments() const { return end_.segments; }

 private:
  Result<void> put(const Record& record);
  Result<void> flush();

  const int fd_;
  std::uint64_t number_ = 0;
  End end_;
  std::vector<std::byte> waiting_;  ///< so that small records do not cost a call each
};

}  // namespace shmvisor::saved
