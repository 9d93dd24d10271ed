#include "supervisor/keeper/keeper_page.h"

#include <sys/mman.h>

#include <new>

namespace shmvisor {

/// Pages that nobody writes cost nothing.
KeeperPage* KeeperPage::create() {
  void* const place = ::mmap(nullptr, sizeof(KeeperPage), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // No initializer writes to all of the descriptors' bits, which are zero already.
  return place == MAP_FAILED ? nullptr : new (place) KeeperPage;
}

}  // namespace shmvisor
