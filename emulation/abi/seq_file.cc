#include "emulation/abi/seq_file.h"

#include <algorithm>

#include "emulation/abi/abi.h"

namespace shmvisor {

Result<std::string> SeqFile::read(std::uint64_t offset, std::size_t size) {
  std::string out;
  if (size == 0) return out;
  if (offset == 0) {
    index_ = 0;
    left_.clear();
  }
  if (offset != read_position_) {
    if (const auto walked = walk_to(offset); !walked) return walked.error();
  }
  const auto take = [&] {
    const std::size_t bytes = std::min(size - out.size(), left_.size());
    out.append(left_, 0, bytes);
    left_.erase(0, bytes);
  };
  take();
  if (left_.empty() && out.size() < size) {
    const auto filled = fill(size - out.size());
    take();
    if (!filled && out.empty()) return filled.error();
  }
  read_position_ = offset + out.size();
  return out;
}

Result<void> SeqFile::walk_to(std::uint64_t offset) {
  index_ = 0;
  left_.clear();
  read_position_ = 0;
  std::uint64_t position = 0;
  while (position < offset) {
    auto record = show_(index_, {kPageBytes, true});
    if (!record) {
      index_ = 0;
      return record.error();
    }
    if (!*record) break;
    std::string& text = (*record)->text;
    if (position + text.size() > offset) {
      // The part that is seen shall be true.
      auto seen = show_(index_, {text.size(), false});
      if (!seen) {
        index_ = 0;
        return seen.error();
      }
      if (!*seen) break;  // gone since
      left_ =
          (*seen)->text.substr(std::min<std::uint64_t>(offset - position, (*seen)->text.size()));
      index_ = (*seen)->next;
      break;
    }
    position += text.size();
    index_ = (*record)->next;
  }
  read_position_ = offset;
  return {};
}

Result<void> SeqFile::fill(std::size_t wanted_bytes) {
  while (left_.size() < wanted_bytes) {
    const std::size_t room = kPageBytes - std::min<std::size_t>(left_.size(), kPageBytes);
    const auto record = show_(index_, {std::min(wanted_bytes - left_.size(), room), false});
    if (!record) return record.error();
    // A buffer that is full to the last byte counts as overflown, seq_has_overflowed().
    if (!*record || (!left_.empty() && left_.size() + (*record)->text.size() >= kPageBytes)) break;
    left_ += (*record)->text;
    index_ = (*record)->next;
  }
  return {};
}

}  // namespace shmvisor
