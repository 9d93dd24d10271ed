// Overcommit: whether the kernel would commit a segment's memory, vm.overcommit_memory of proc(5).
//
// The kernel charges a segment without SHM_NORESERVE at once (shmem_kernel_file_setup(),
// shmem_acct_size() of mm/shmem.c); a memfd is charged page by page. So the question is asked here:
//   0 heuristic: refused when larger than all memory and swap together;
//   1 always: never refused;
//   2 never: charged in full, also with SHM_NORESERVE; the charge is a private mapping of ours that
//     is never touched. (The pages then touched through the memfd are charged once more.)
// The mode is read each time: it is a sysctl.
//
// Errors: ENOMEM. Thread rule: any thread.
#pragma once

#include <cstdint>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// A charge; the destructor gives it back.
class CommitCharge {
 public:
  CommitCharge() = default;
  CommitCharge(void* address, std::uint64_t size_bytes)
      : address_(address), size_bytes_(size_bytes) {}
  CommitCharge(CommitCharge&& other) noexcept;
  CommitCharge& operator=(CommitCharge&& other) noexcept;
  CommitCharge(const CommitCharge&) = delete;
  CommitCharge& operator=(const CommitCharge&) = delete;
  ~CommitCharge();

 private:
  void* address_ = nullptr;
  std::uint64_t size_bytes_ = 0;
};

class Overcommit {
 public:
  Overcommit();
  [[nodiscard]] Result<CommitCharge> charge(std::uint64_t size_bytes, bool reserve) const;
  /// The bound of charge() in mode 0; 0 in the other modes, where only the kernel knows.
  [[nodiscard]] std::uint64_t most_bytes() const;

 private:
  [[nodiscard]] int mode() const;

  UniqueFd mode_file_;
};

}  // namespace shmvisor
