#include "supervisor/keeper/keeper_page.h"

#include "supervisor/kernel/shared_object.h"

namespace shmvisor {

KeeperPage* KeeperPage::create() { return make_shared_object<KeeperPage>(); }

}  // namespace shmvisor
