#include "supervisor/kernel/yama.h"

#include <fstream>

namespace shmvisor::yama {

std::optional<int> ptrace_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  if (!(file >> scope)) return std::nullopt;
  return scope;
}

}  // namespace shmvisor::yama
