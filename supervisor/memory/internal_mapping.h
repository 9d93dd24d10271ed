// InternalMapping: memory of a segment's file where the supervisor itself has it mapped.
//
// Ownership: unmapped with it. It counts for BackingMemory::in_use() only where the mapping was
// made of a description that does; ours are not. Thread rule: a plain value.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <utility>

#include "policy/base/result.h"

namespace shmvisor {

class InternalMapping {
 public:
  /// Maps `length_bytes` of the file, shared, with `protection` as mmap(2) has it. Errors: those of
  /// mmap(2).
  static Result<InternalMapping> of(int fd, std::size_t length_bytes, int protection,
                                    off_t offset = 0) {
    void* const address = ::mmap(nullptr, length_bytes, protection, MAP_SHARED, fd, offset);
    if (address == MAP_FAILED) return Errno::current();
    return InternalMapping({static_cast<std::byte*>(address), length_bytes});
  }
  InternalMapping(InternalMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  InternalMapping& operator=(InternalMapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  InternalMapping(const InternalMapping&) = delete;
  InternalMapping& operator=(const InternalMapping&) = delete;
  ~InternalMapping() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit InternalMapping(std::span<std::byte> bytes) : bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

}  // namespace shmvisor
