// StampHistory: which segments' time and process stamps the kernel may have renewed by itself.
//
// In the kernel every mapping that comes or goes renews shm_atime or shm_dtime, and shm_lpid: also
// the copies of a fork, the ends of processes, the halves of a split. Here is kept, for each
// segment, whether such a thing may have happened since a shmat or shmdt stamped it last.
// "May": every segment that the address space ever attached counts.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"
#include "integration/differential/transcript.h"

namespace shmvisor {

class StampHistory {
 public:
  /// Follows one operation; `native` is what it showed on the kernel's own shm.
  void follow(const Operation& operation, const Step& native);

  /// Whether a segment was ever attached where this worker is that goes with its last mapping: one
  /// that was removed, or any under kernel.shm_rmid_forced.
  [[nodiscard]] bool doomed_segment_about(int worker) const;
  [[nodiscard]] bool opened_silently(const std::string& segment) const {
    return opened_.contains(segment);
  }
  [[nodiscard]] bool closed_silently(const std::string& segment) const {
    return closed_.contains(segment);
  }
  [[nodiscard]] bool lpid_renewed_silently(const std::string& segment) const {
    return lpid_.contains(segment);
  }

 private:
  struct Space {
    std::set<std::string> attached;
    std::map<std::string, std::string> at;  ///< segments by the address of their attach
    bool shuffled = false;                  ///< attaches may be where `at` knows nothing of
  };

  void attached(const Operation& operation, const Step& native);
  void detached(const Operation& operation, const Step& native);
  void rearranged(int space, bool opens);
  [[nodiscard]] Space& space_of(int worker) { return spaces_[table_.worker(worker).space]; }

  ProcessTable table_;
  std::map<int, Space> spaces_;
  std::set<std::string> removed_;
  bool forced_ = false;  ///< shm_rmid_forced was ever set
  std::set<std::string> opened_;
  std::set<std::string> closed_;
  std::set<std::string> lpid_;
};

}  // namespace shmvisor
