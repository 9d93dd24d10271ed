// Copying memory and files whose holes stay holes.
//
// A hole of what is read, and a page of zeros, become a hole of what is written where that is a
// file which can have one; elsewhere zeros are written.
//
// Errors: those of read(2) and write(2). Ownership: borrows descriptors. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor::client {

/// What came next of a file: a hole, and then so many bytes in the buffer. Neither: the end.
struct Piece {
  std::uint64_t hole_bytes = 0;
  std::size_t data_bytes = 0;
};

/// Of a file, between two offsets, or as far as the file goes. Leaves the descriptor's own offset
/// behind what it read.
Result<Piece> read_piece(int file, std::uint64_t offset, std::uint64_t end,
                         std::span<std::byte> buffer);

/// The same of a segment's memory, which is open for this moment alone: where the bytes go may take
/// its time, and who has the memory open keeps a removed segment alive.
Result<Piece> read_memory(const UniqueFd& reference, std::uint64_t offset, std::uint64_t end,
                          std::span<std::byte> buffer);

/// As long a run of pages of one kind as there is at the beginning; one of zeros may lie in a hole.
struct PageRun {
  std::size_t bytes = 0;
  bool zero = false;
};
PageRun first_run(std::span<const std::byte> bytes, std::size_t page_bytes);

class SparseOutput {
 public:
  enum class Holds : std::uint8_t {
    kZeros,     ///< from the descriptor's offset on
    kAnything,  ///< a file that may have been written before, or a stream
  };

  SparseOutput(int fd, Holds holds);

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> skip(std::uint64_t bytes);
  Result<void> put(const Piece& piece, std::span<const std::byte> buffer);
  /// Gives a file that ends with a hole its length.
  Result<void> finish();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Result<void> write_all(std::span<const std::byte> bytes);
  [[nodiscard]] bool can_skip() const;

  const int fd_;
  const bool holds_zeros_;
  bool is_file_ = false;  ///< which is not written at its end alone
  bool ends_with_hole_ = false;
  std::uint64_t bytes_ = 0;
};

}  // namespace shmvisor::client
