#include "supervisor/keeper/kept_visitors.h"

#include <algorithm>

#include "supervisor/kernel/shared_object.h"

namespace shmvisor {

KeptVisitors* KeptVisitors::create() { return make_shared_object<KeptVisitors>(); }

KeptVisitor* KeptVisitors::make() {
  const std::size_t end = end_.load();
  if (end < kMost) {
    KeptVisitor* const made = new (at(end)) KeptVisitor;
    end_.store(end + 1);
    return made;
  }
  for (std::size_t tries = 0; tries < kMost; ++tries) {
    KeptVisitor* const next = at(next_++ % kMost);
    if (next->state.load() == KeptVisitor::kFree) return new (next) KeptVisitor;
  }
  return nullptr;
}

void KeptVisitors::list_descriptors(std::vector<int>& all) {
  all.clear();
  for_each([&all](const KeptVisitor& visitor) {
    const std::uint32_t state = visitor.state.load();
    all.push_back(visitor.connection);
    all.push_back(visitor.ipc_namespace);
    all.push_back(visitor.user_namespace);
    if (!visitor.fuse.is_over.load()) all.push_back(visitor.files);
    if (state != KeptVisitor::kEnded) all.push_back(visitor.listener);
    if (state == KeptVisitor::kAdmitted) all.push_back(visitor.mount);
  });
  std::ranges::sort(all);
}

}  // namespace shmvisor
