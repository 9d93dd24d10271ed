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

  [[nodiscard]] bool opened_silently(int id) const { return opened_.contains(id); }
  [[nodiscard]] bool closed_silently(int id) const { return closed_.contains(id); }
  [[nodiscard]] bool lpid_renewed_silently(int id) const { return lpid_.contains(id); }

 private:
  struct Space {
    std::set<int> attached;
    std::map<std::string, int> at;  ///< attaches by address; empty once they may have moved
    bool shuffled = false;
  };

  void attached(const Operation& operation, const Step& native);
  void detached(const Operation& operation, const Step& native);
  void rearranged(int space, bool opens);
  [[nodiscard]] Space& space_of(int worker) { return spaces_[table_.worker(worker).space]; }

  ProcessTable table_;
  std::map<int, Space> spaces_;
  std::set<int> opened_;
  std::set<int> closed_;
  std::set<int> lpid_;
};

}  // namespace shmvisor
