// SeqFile: how read(2) on a file of records behaves in /proc, seq_read_iter() of fs/seq_file.c.
//
// Records are made when a read first needs them. A read gives whole records as long as they fit
// into the reader's buffer and into one page, the rest of a record that was begun, and at least a
// part of one record; so results are short long before the end of the file. Reading at offset 0
// begins anew, and at an offset other than where the last read ended walks there from the start.
//
// Unlike the kernel's it asks nothing of a record's size but that it fits into a page.
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace shmvisor {

class SeqFile {
 public:
  static constexpr std::size_t kPageBytes = 4096;

  /// The record at a position, counted from 0; nothing behind the last. Asked for position 0 when
  /// reading begins anew.
  using Show = std::function<std::optional<std::string>(std::size_t position)>;

  explicit SeqFile(Show show) : show_(std::move(show)) {}

  /// What read(2) or pread(2) gives; empty at the end of the file.
  std::string read(std::uint64_t offset, std::size_t size);

 private:
  void walk_to(std::uint64_t offset);
  void fill(std::size_t wanted_bytes);

  const Show show_;
  std::size_t index_ = 0;
  std::uint64_t read_position_ = 0;
  /// Shown and not read yet.
  std::string left_;
};

}  // namespace shmvisor
