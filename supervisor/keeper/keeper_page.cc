#include "supervisor/keeper/keeper_page.h"

#include "supervisor/keeper/kept_store.h"

namespace shmvisor {

KeeperPage* KeeperPage::create() { return KeptStore::ours().object<KeeperPage>("page"); }

}  // namespace shmvisor
