// A file system of the attacker's with one file, "file", that answers as slowly as it likes: never.
#ifndef SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_FUSE_FILES_H_
#define SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_FUSE_FILES_H_

#include <linux/fuse.h>

#include "attack.h"

#define UNANSWERED(opcode) (UINT64_C(1) << (opcode))

/// Mounts it in a mount namespace of the caller's own, begun as root, and serves it in a child that
/// never answers requests of these kinds. Ends with status 77 where that cannot be done here.
void serve_files(const char* place, uint64_t unanswered);

#endif  // SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_FUSE_FILES_H_
