#include "supervisor/kernel/version.h"

namespace shmvisor {

const char* program_version() { return SHMVISOR_VERSION; }

int handover_version() { return 1; }

}  // namespace shmvisor
