// Who owns a registry, when the server that knew it has died.
#include <fcntl.h>
#include <sched.h>

#include "tests/ipc_namespaces_fixture.h"

namespace shmvisor {
namespace {

using KeptOwnerTest = IpcNamespacesTest;

TEST_F(KeptOwnerTest, TheOwnerComesBackAsFarOutAsVisitorsMadeIt) {
  const auto command = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  command->go();
  const pid_t pid = command->child->pid();
  ThreadIdentity& caller = *threads_.of(pid).identity;
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/ipc";
  const auto open = [](const char* file) { return UniqueFd(::open(file, O_RDONLY | O_CLOEXEC)); };
  DescriptorPool pool({.pool = 100});
  DescriptorShare share(pool);
  auto run = IpcNamespaces::of_command(namespaces_, scope_, share, open(path.c_str()));
  auto next = IpcNamespaces::of_command(namespaces_, scope_, share, open(path.c_str()));
  const auto is_root = [&caller](IpcNamespaces& of) {
    return of.owner_of(caller)->grants(caller.user_namespace(), true, 0);
  };
  KeptOwner place;
  run.keep_owner_in(&place);
  next.keep_owner_in(&place);
  EXPECT_TRUE(is_root(next)) << "as it was";
  next.keep_owner_in(nullptr);
  EXPECT_NE(run.take_in_joiner(open("/proc/self/ns/ipc")), nullptr);
  EXPECT_FALSE(is_root(run));
  next.keep_owner_in(&place);
  EXPECT_FALSE(is_root(next));
  EXPECT_TRUE(next.owner_of(caller)->grants(NamespaceIds::ours().user, true, 0));
}

// Also when all those whom the registry was for have ended: a newcomer is not root over it then.
TEST_F(KeptOwnerTest, TheOwnerOfAGroupComesBackWithoutItsContainers) {
  auto first = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  const auto second = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  first->go();
  second->go();
  const auto ipc_of = [](pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/ipc";
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  };
  ThreadIdentity& newcomer = *threads_.of(second->child->pid()).identity;
  DescriptorPool pool({.pool = 100});
  DescriptorShare share(pool);
  KeptOwner place;
  auto group = IpcNamespaces::of_others(namespaces_, scope_, share);
  group.keep_owner_in(&place);
  EXPECT_FALSE(place.told.load());
  group.take_in(ipc_of(first->child->pid()));
  ASSERT_TRUE(place.told.load());
  first->child.reset();
  // As the keeper's table of descriptors has it, whatever becomes of the server.
  const int kept = ::fcntl(place.file.load(), F_DUPFD_CLOEXEC, 0);
  ASSERT_GE(kept, 0);
  place.file.store(kept);
  auto next = IpcNamespaces::of_others(namespaces_, scope_, share);
  next.keep_owner_in(&place);
  next.take_in(ipc_of(second->child->pid()));
  IpcHome home(ipc_of(second->child->pid()));
  EXPECT_FALSE(next.owner_of(newcomer, &home)->grants(newcomer.user_namespace(), true, 0));
  EXPECT_TRUE(next.owner_of(newcomer, &home)->grants(NamespaceIds::ours().user, true, 0));
  EXPECT_EQ(place.depth.load(), group.owner_of(newcomer, &home)->depth() - 1);
}

}  // namespace
}  // namespace shmvisor
