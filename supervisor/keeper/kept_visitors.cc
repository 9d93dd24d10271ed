#include "supervisor/keeper/kept_visitors.h"

#include "supervisor/keeper/kept_store.h"

namespace shmvisor {

KeptVisitors* KeptVisitors::create(const std::string& of) {
  return KeptStore::ours().object<KeptVisitors>("visitors of " + of);
}

void KeptVisitors::list_descriptors(std::vector<int>& all) {
  if (owner.told.load()) all.push_back(owner.file.load());
  for_each([&all](const KeptVisitor& visitor) {
    const std::uint32_t state = visitor.state.load();
    all.push_back(visitor.connection);
    all.push_back(visitor.ipc_namespace);
    all.push_back(visitor.user_namespace);
    if (!visitor.fuse.is_over.load()) all.push_back(visitor.files);
    if (state != KeptVisitor::kEnded) all.push_back(visitor.listener);
    if (state == KeptVisitor::kAdmitted) all.push_back(visitor.mount);
  });
}

void KeptVisitors::list_listeners(std::vector<int>& all) {
  for_each([&all](const KeptVisitor& visitor) {
    if (visitor.state.load() == KeptVisitor::kJoined) all.push_back(visitor.listener);
  });
}

}  // namespace shmvisor
