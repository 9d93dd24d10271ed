// Another version of shmvisor, as upgrades meet it: the same program with these functions instead
// of those of supervisor/kernel/version.cc. Which one it is: NEXT_VERSION, NEXT_HANDOVER and
// NEXT_CANNOT_BEGIN.
#include "supervisor/kernel/version.h"

#include <cstdlib>

namespace shmvisor {

const char* program_version() { return NEXT_VERSION; }

int handover_version() { return NEXT_HANDOVER; }

}  // namespace shmvisor

#ifdef NEXT_CANNOT_BEGIN
// It says that it could go on, and then cannot: its options are not what they were.
__attribute__((constructor)) static void spoil_words(int count, char** words) {
  static char spoilt[] = "--no-such-option";
  if (std::getenv("SHMVISOR_RESUME") != nullptr && count > 2) words[2] = spoilt;
}
#endif
