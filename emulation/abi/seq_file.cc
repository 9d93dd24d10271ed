#include "emulation/abi/seq_file.h"

#include <algorithm>

namespace shmvisor {

std::string SeqFile::read(std::uint64_t offset, std::size_t size) {
  std::string out;
  if (size == 0) return out;
  if (offset == 0) {
    index_ = 0;
    left_.clear();
  }
  if (offset != read_position_) walk_to(offset);

  const auto take = [&] {
    const std::size_t bytes = std::min(size - out.size(), left_.size());
    out.append(left_, 0, bytes);
    left_.erase(0, bytes);
  };
  take();
  if (left_.empty() && out.size() < size) {
    fill(size - out.size());
    take();
  }
  read_position_ = offset + out.size();
  return out;
}

void SeqFile::walk_to(std::uint64_t offset) {
  index_ = 0;
  left_.clear();
  std::uint64_t position = 0;
  while (position < offset) {
    auto record = show_(index_);
    if (!record) break;
    ++index_;
    if (position + record->size() > offset) {
      left_ = record->substr(static_cast<std::size_t>(offset - position));
      break;
    }
    position += record->size();
  }
  read_position_ = offset;
}

void SeqFile::fill(std::size_t wanted_bytes) {
  while (left_.size() < wanted_bytes) {
    const auto record = show_(index_);
    // A buffer that is full to the last byte counts as overflown, seq_has_overflowed().
    if (!record || (!left_.empty() && left_.size() + record->size() >= kPageBytes)) return;
    left_ += *record;
    ++index_;
  }
}

}  // namespace shmvisor
