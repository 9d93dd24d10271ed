// StateFile: the memory of the state that outlives the process that serves.
//
// It is a memfd, mapped shared. The keeper makes it before it clones the first server, and each
// server has it at the same address. The file is sparse and never grows: only pages that were
// written take memory.
//
// Ownership: owns descriptor and mapping. Thread rule: what it leads to has rules of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/journal/state_layout.h"

namespace shmvisor {

class StateFile {
 public:
  /// Of records, in each of two areas. A segment's takes 0.2 KiB.
  static constexpr std::uint64_t kAreaBytes = std::uint64_t{256} << 20;

  /// A new one. Errors: a clause that follows "the state".
  static Result<std::unique_ptr<StateFile>, std::string> create(
      std::uint64_t area_bytes = kAreaBytes);
  /// One that another build may have made. What this build does not know is refused, and stays the
  /// caller's.
  static Result<std::unique_ptr<StateFile>, std::string> open(UniqueFd& file);
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;
  ~StateFile();

  [[nodiscard]] int fd() const { return file_.get(); }
  [[nodiscard]] journal::StateHeader& header() const { return *at<journal::StateHeader>(0); }
  [[nodiscard]] std::span<journal::CallSlot> slots() const {
    return {at<journal::CallSlot>(header().slots_at), journal::kSlots};
  }
  [[nodiscard]] std::span<journal::StampPair> stamps() const {
    return {at<journal::StampPair>(header().stamps_at), journal::kStamps};
  }
  /// Of the areas 0 and 1.
  [[nodiscard]] std::span<std::byte> area(std::uint64_t number) const;
  /// Gives the memory of an area back, as far as it is not needed for the next checkpoint anyway.
  void empty_area(std::uint64_t number) const;

 private:
  StateFile(UniqueFd file, std::byte* memory, std::uint64_t bytes)
      : file_(std::move(file)), memory_(memory), bytes_(bytes) {}
  static Result<std::unique_ptr<StateFile>, std::string> map(UniqueFd& file, std::uint64_t bytes);

  template <typename Kind>
  [[nodiscard]] Kind* at(std::uint64_t place) const {
    return reinterpret_cast<Kind*>(memory_ + place);
  }

  const UniqueFd file_;
  std::byte* const memory_;
  const std::uint64_t bytes_;
};

}  // namespace shmvisor
