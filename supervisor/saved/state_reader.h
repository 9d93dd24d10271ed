// StateReader: reads a saved registry, record by record, and believes nothing of it.
//
// A file may be cut, altered by a disk, or made by somebody who means harm: each record's length is
// looked at before memory is taken, its checksum before its contents, and its place among the
// others before it is handed out. What was handed out is true only once the End has come: who acts
// on it before must be able to take that back.
//
// Errors: a Trouble is a clause that follows the file's name. Memory: one record, 1 MiB at most,
// and the keys and identifiers of 32768 segments. Ownership: owns the descriptor. Thread rule: one
// thread; reads a file, so it is not for a main loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/saved/record.h"

namespace shmvisor::saved {

class StateReader {
 public:
  /// A file that is no regular one is refused, and not waited for.
  static Result<StateReader, Trouble> open(const std::string& path);
  explicit StateReader(UniqueFd file) : file_(std::move(file)) {}

  /// Contents are valid until the next call. Nothing behind the End.
  Result<std::optional<Record>, Trouble> next();

 private:
  /// Bytes that were not there are missing at the end of what it returns.
  Result<std::span<const std::byte>, Trouble> read(std::vector<std::byte>& buffer,
                                                   std::size_t bytes);
  Result<RecordHeader, Trouble> read_header();
  Result<void, Trouble> check_end_of_file();
  Result<void, Trouble> place(const Record& record);
  Result<void, Trouble> place(const RegistryState& registry);
  Result<void, Trouble> place(const SegmentState& segment);
  Result<void, Trouble> place(const Contents& contents);
  Result<void, Trouble> place(const Removal& removal);
  Result<void, Trouble> place(const End& end);
  /// Of the record that is being read.
  [[nodiscard]] Trouble altered(const std::string& what) const;
  [[nodiscard]] Trouble cut() const;

  UniqueFd file_;
  std::vector<std::byte> header_bytes_;
  std::vector<std::byte> payload_bytes_;
  std::uint64_t at_ = 0;  ///< where the next byte is read
  std::uint64_t record_at_ = 0;
  std::uint64_t number_ = 0;  ///< of the next record
  std::uint32_t checksum_ = 0;
  std::optional<RegistryState> registry_;
  std::optional<SegmentState> last_;  ///< the segment that came last
  std::uint64_t contents_end_ = 0;    ///< of what came of it
  std::uint32_t segments_ = 0;        ///< that came
  std::set<int> ids_;                 ///< of those that are not removed
  std::unordered_set<key_t> keys_;
  std::uint64_t contents_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace shmvisor::saved
