// DescendantScope: all processes below this one. Whoever is a subreaper loses none of them.
//
// Thread rule: any thread.
#pragma once

#include "supervisor/process/process_scope.h"

namespace shmvisor {

class DescendantScope : public ProcessScope {
 public:
  [[nodiscard]] std::vector<pid_t> processes() const override;
};

}  // namespace shmvisor
