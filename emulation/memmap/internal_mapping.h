// InternalMapping: memory of a backing file where the supervisor itself can touch it.
//
// Ownership: unmapped with it. It counts for BackingMemory::in_use() only where the mapping was
// made of a description that does; ours are not. Thread rule: a plain value.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

namespace shmvisor {

class InternalMapping {
 public:
  using Release = std::function<void(std::span<std::byte>)>;

  InternalMapping() = default;
  InternalMapping(std::span<std::byte> bytes, Release release)
      : bytes_(bytes), release_(std::move(release)) {}
  InternalMapping(InternalMapping&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})), release_(std::move(other.release_)) {}
  InternalMapping& operator=(InternalMapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(release_, other.release_);
    return *this;
  }
  InternalMapping(const InternalMapping&) = delete;
  InternalMapping& operator=(const InternalMapping&) = delete;
  ~InternalMapping() {
    if (!bytes_.empty()) release_(bytes_);
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] bool mapped() const { return !bytes_.empty(); }

 private:
  std::span<std::byte> bytes_;
  Release release_;
};

}  // namespace shmvisor
