// MemoryPolicy: when the memory of segments is allocated, where the operator wants it sooner than
// the kernel's own shm would: each page when it is first touched.
//
// Thread rule: a plain value.
#pragma once

namespace shmvisor {

struct MemoryPolicy {
  bool populate_on_attach = false;  ///< shmat(2) brings all pages in, MAP_POPULATE
  /// shmget(2) allocates all pages or fails, so that no SIGBUS comes later.
  bool commit_on_create = false;
};

}  // namespace shmvisor
