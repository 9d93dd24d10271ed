// SeqFile: how read(2) on a file of records behaves in /proc, seq_read_iter() of fs/seq_file.c.
//
// Records are made when a read first needs them, and each knows the position of the next: positions
// may have gaps, and what is shown of a list that changes is what each read finds. A read gives
// whole records as long as they fit into the reader's buffer and into one page, the rest of a
// record that was begun, and at least a part of one record; so results are short long before the
// end of the file. Reading at offset 0 begins anew, and at an offset other than where the last read
// ended walks there from the start.
//
// Unlike the kernel's it asks nothing of a record's size but that it fits into a page.
// Between reads it keeps the rest of one page of records at most.
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "policy/base/result.h"

namespace shmvisor {

class SeqFile {
 public:
  struct Record {
    std::string text;
    std::size_t next = 0;  ///< the position of what comes behind it
  };
  /// How the record will be used.
  struct Wanted {
    std::size_t bytes = 0;  ///< of it and of those behind it, that this read may need
    bool skipped = false;   ///< nobody sees its text: only its length counts
  };
  /// The first record at or above a position; nothing behind the last. Asked for position 0 when
  /// reading begins anew. An error is what the read fails with, unless it has something already.
  using Show = std::function<Result<std::optional<Record>>(std::size_t position, Wanted wanted)>;

  explicit SeqFile(Show show) : show_(std::move(show)) {}

  /// What read(2) or pread(2) gives; empty at the end of the file. Errors: those of Show.
  Result<std::string> read(std::uint64_t offset, std::size_t size);

 private:
  Result<void> walk_to(std::uint64_t offset);
  Result<void> fill(std::size_t wanted_bytes);

  const Show show_;
  std::size_t index_ = 0;
  std::uint64_t read_position_ = 0;
  /// Shown and not read yet.
  std::string left_;
};

}  // namespace shmvisor
