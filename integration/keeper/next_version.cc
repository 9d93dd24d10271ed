// Another version of shmvisor, as upgrades meet it: the same program with these functions instead
// of those of supervisor/kernel/version.cc. NEXT_VERSION, NEXT_HANDOVER, NEXT_CANNOT_BEGIN and
// NEXT_HANGS say which version.
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/kernel/version.h"

namespace shmvisor {

const char* program_version() { return NEXT_VERSION; }

int handover_version() { return NEXT_HANDOVER; }

}  // namespace shmvisor

#ifdef NEXT_CANNOT_BEGIN
// This program says that it could go on, and then cannot: its options are not what they were.
__attribute__((constructor)) static void spoil_words(int count, char** words) {
  static char spoilt[] = "--no-such-option";
  if (std::getenv(shmvisor::KeptStore::kVariable) != nullptr && count > 2) words[2] = spoilt;
}
#endif

#ifdef NEXT_HANGS
// This program does not answer whether it could go on.
__attribute__((constructor)) static void hang(int count, char** words) {
  while (count > 1 && words[1] == std::string_view("resume-check")) ::pause();
}
#endif
