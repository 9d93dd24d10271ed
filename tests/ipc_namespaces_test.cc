#include "supervisor/namespaces/ipc_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "supervisor/credentials/thread_namespace.h"
#include "tests/ipc_namespaces_fixture.h"
#include "tests/scratch_folder.h"
#include "tests/unclosable_file.h"

namespace shmvisor {
namespace {

TEST_F(IpcNamespacesTest, OursIsTheInitialOne) {
  EXPECT_EQ(registry_of(gettid()), namespaces_.initial());
  EXPECT_FALSE(ipc_.need_sweeping());
}

// An IPC namespace of a joiner's is a place to find the shared registry, and no right over it.
TEST_F(IpcNamespacesTest, AHomeIsOfOneListenerAndGivesNoRights) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  stepper->go();
  const pid_t pid = stepper->child->pid();
  IpcHome home(
      UniqueFd(::open(("/proc/" + std::to_string(pid) + "/ns/ipc").c_str(), O_RDONLY | O_CLOEXEC)));
  ASSERT_NE(home.inode(), 0U);
  const auto identity = threads_.of(pid).identity;
  const auto joined = ipc_.of(*identity, &home);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->registry, namespaces_.initial());
  EXPECT_FALSE(joined->owner->grants(identity->user_namespace(), true, 0));
  EXPECT_TRUE(joined->owner->grants(NamespaceIds::ours().user, true, 0));
  EXPECT_EQ(joined->owner, ipc_.owner_of(*identity, &home));

  const auto inner = ipc_.of(*identity);
  ASSERT_TRUE(inner);
  EXPECT_NE(inner->registry, namespaces_.initial()) << "to whom it is no home";
  EXPECT_TRUE(inner->owner->grants(identity->user_namespace(), true, 0)) << "which it has made";
}

TEST_F(IpcNamespacesTest, ANamespaceThatComesBackIsHeldAsBefore) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  stepper->go();
  const pid_t pid = stepper->child->pid();
  const IpcNamespaceId id = NamespaceIds::of_thread(pid).ipc;
  std::shared_ptr<Registry> registry = namespaces_.of(id);
  const auto open = [](const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  };
  EXPECT_FALSE(ipc_.take_back(id, open("/proc/self/ns/ipc"))) << "another namespace";
  EXPECT_FALSE(ipc_.take_back(id, open("/proc/self/ns/uts"))) << "of another kind";
  EXPECT_FALSE(ipc_.take_back(id, open("/dev/null"))) << "none";
  EXPECT_FALSE(ipc_.need_sweeping());
  ASSERT_TRUE(ipc_.take_back(id, open("/proc/" + std::to_string(pid) + "/ns/ipc")));
  EXPECT_TRUE(ipc_.need_sweeping());
  EXPECT_EQ(registry_of(pid), registry);
  const std::weak_ptr<Registry> gone(std::exchange(registry, nullptr));
  EXPECT_FALSE(gone.expired());
  stepper->child.reset();
  EXPECT_TRUE(is_forgotten(gone)) << "with its last process";
}

TEST_F(IpcNamespacesTest, AHomeThatNobodyToldIsTheFirstCallers) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  stepper->go();
  IpcHome home;
  EXPECT_EQ(registry_of(stepper->child->pid(), &home), namespaces_.initial());
  EXPECT_EQ(home.inode(), NamespaceIds::of_thread(stepper->child->pid()).ipc);
}

// Each has its own user namespace: the first is root over the group until there is a second.
TEST_F(IpcNamespacesTest, NoContainerIsRootOverAnother) {
  const auto first = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  const auto second = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  DescriptorPool pool({.pool = 100});
  DescriptorShare share(pool);
  IpcNamespaces group = IpcNamespaces::of_others(namespaces_, scope_, share);
  const auto is_root = [&](Stepper& stepper, IpcHome& home) {
    ThreadIdentity& caller = *threads_.of(stepper.child->pid()).identity;
    const auto found = group.of(caller, &home);
    EXPECT_TRUE(found);
    EXPECT_EQ(found->registry, namespaces_.initial());
    EXPECT_TRUE(found->owner->grants(NamespaceIds::ours().user, true, 0)) << "an ancestor";
    return found->owner->grants(caller.user_namespace(), true, 0);
  };
  const auto enter = [&](Stepper& stepper, IpcHome& home) {
    stepper.go();
    UniqueFd ipc(
        ::open(("/proc/" + std::to_string(stepper.child->pid()) + "/ns/ipc").c_str(), O_RDONLY));
    group.take_in(ipc);
    home.set(std::move(ipc));
  };
  std::array<IpcHome, 2> homes;
  enter(*first, homes[0]);
  EXPECT_TRUE(is_root(*first, homes[0]));
  enter(*second, homes[1]);
  EXPECT_FALSE(is_root(*first, homes[0]));
  EXPECT_FALSE(is_root(*second, homes[1]));
}

TEST_F(IpcNamespacesTest, AContainerThatNobodyKnowsIsSomebodyElses) {
  const auto known = steps({[] { return ::unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0; }});
  known->go();
  const pid_t pid = known->child->pid();
  DescriptorPool pool({.pool = 100});
  DescriptorShare share(pool);
  IpcNamespaces group = IpcNamespaces::of_others(namespaces_, scope_, share);
  group.take_in(UniqueFd());
  UniqueFd ipc(::open(("/proc/" + std::to_string(pid) + "/ns/ipc").c_str(), O_RDONLY));
  group.take_in(ipc);
  IpcHome home(std::move(ipc));
  ThreadIdentity& caller = *threads_.of(pid).identity;
  const auto found = group.of(caller, &home);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->owner->grants(caller.user_namespace(), true, 0));
}

TEST_F(IpcNamespacesTest, ANamespaceLivesAsLongAsItsProcesses) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  int needs = 0;
  ipc_.tell_of_need([&needs] { ++needs; });
  EXPECT_EQ(registry_of(stepper->child->pid()), namespaces_.initial());
  EXPECT_EQ(needs, 0);
  stepper->go();
  threads_.namespaces_change(stepper->child->pid());
  const std::weak_ptr<Registry> own = registry_of(stepper->child->pid());
  EXPECT_NE(own.lock(), namespaces_.initial());
  EXPECT_EQ(own.lock(), registry_of(stepper->child->pid()));
  EXPECT_TRUE(ipc_.need_sweeping());
  EXPECT_EQ(needs, 1) << "once, by the first call";
  ipc_.sweep();
  EXPECT_FALSE(own.expired());
  ::kill(stepper->child->pid(), SIGKILL);
  ASSERT_TRUE(stepper->child->wait(0));
  EXPECT_TRUE(is_forgotten(own));
  EXPECT_FALSE(ipc_.need_sweeping());
  EXPECT_TRUE(namespaces_.others().empty());
}

// An exec that does not end keeps whoever looks at the process's descriptors. Its namespace stays.
TEST_F(IpcNamespacesTest, ASweepIsNotHeldByAnExecThatDoesNotEnd) {
  ask_no_kernel();
  Gate inside;
  Gate go_on;
  std::unique_ptr<Child> stuck;
  FileThatCannotBeClosed files;  // ends first: before, the child cannot be killed
  if (!files.made()) GTEST_SKIP() << "no file system of our own";
  stuck = std::make_unique<Child>([&] {
    if (::unshare(CLONE_NEWIPC) != 0) return 1;
    inside.open();
    if (!go_on.pass()) return 1;
    const UniqueFd file = files.open();
    ::execl("/bin/true", "true", nullptr);
    return 2;
  });
  ASSERT_TRUE(inside.pass());
  const std::weak_ptr<Registry> its = registry_of(stuck->pid());
  ASSERT_NE(its.lock(), namespaces_.initial());
  // One that is over, unless the other has a descriptor of it.
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  stepper->go();
  const std::weak_ptr<Registry> over = registry_of(stepper->child->pid());
  ASSERT_NE(over.lock(), namespaces_.initial());
  ::kill(stepper->child->pid(), SIGKILL);
  ASSERT_TRUE(stepper->child->wait(0));
  go_on.open();
  ::usleep(500'000);  // until it is in the exec
  std::atomic<int> sweeps{0};
  std::atomic<bool> was_kept{false};
  std::thread sweeping([&] {
    for (int sweep = 0; sweep < 3; ++sweep, ++sweeps) ipc_.sweep();
    was_kept = !over.expired();
    ipc_.set_long_unseen(std::chrono::milliseconds(0));
    for (int sweep = 0; sweep < 2; ++sweep, ++sweeps) ipc_.sweep();
  });
  for (int wait = 0; wait < 800 && sweeps < 5; ++wait) ::usleep(10000);
  EXPECT_EQ(sweeps, 5);
  EXPECT_FALSE(its.expired()) << "a process lives there, although nobody may look at it any more";
  EXPECT_TRUE(was_kept) << "not before a minute is over";
  // Where no pidfd tells where the other lives, it may live in any namespace.
  const bool told = open_namespace_by_pidfd(gettid(), Namespace::kIpc).ok();
  EXPECT_EQ(over.expired(), told) << "when that is over";
  files.end();
  sweeping.join();
  ASSERT_TRUE(stuck->wait(0));
  EXPECT_TRUE(is_forgotten(its));
  EXPECT_TRUE(is_forgotten(over));
}

// A descriptor of its file keeps a namespace alive, as in the kernel: setns(2) may bring it back.
TEST_F(IpcNamespacesTest, ADescriptorKeepsIt) {
  ask_no_kernel();
  int home = -1;
  int own_file = -1;
  const auto stepper = steps({
      [&] {
        home = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        return ::unshare(CLONE_NEWIPC) == 0;
      },
      [&] {
        own_file = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        return ::setns(home, CLONE_NEWIPC) == 0;
      },
      [&] { return ::close(own_file) == 0; },
  });
  const pid_t pid = stepper->child->pid();
  stepper->go();
  const std::weak_ptr<Registry> own = registry_of(pid);
  stepper->go();
  threads_.namespaces_change(pid);
  EXPECT_EQ(registry_of(pid), namespaces_.initial());
  ipc_.sweep();
  EXPECT_FALSE(own.expired());
  stepper->go();
  EXPECT_TRUE(is_forgotten(own));
}

// So does a mount of that file. A process sees only the mounts below its root: that one of the
// mount namespace does not see this mount is no answer for all.
TEST_F(IpcNamespacesTest, AMountKeepsItThatNotAllSee) {
  ask_no_kernel();
  const ScratchFolder folder;
  const std::string file = folder.path("ipc");
  const std::string empty = folder.path("empty");
  ASSERT_EQ(::mkdir(empty.c_str(), 0700), 0);
  ASSERT_TRUE(UniqueFd(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).valid());
  const auto stepper = steps({
      [] {
        return ::unshare(CLONE_NEWNS) == 0 &&
               ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0 &&
               ::unshare(CLONE_NEWIPC) == 0;
      },
      [&] {
        const UniqueFd home(
            ::open(("/proc/" + std::to_string(::getppid()) + "/ns/ipc").c_str(), O_RDONLY));
        if (::mount("/proc/self/ns/ipc", file.c_str(), nullptr, MS_BIND, nullptr) != 0)
          return false;
        if (::setns(home.get(), CLONE_NEWIPC) != 0) return false;
        // The child has a higher pid, and is looked at later.
        const pid_t parent = ::getpid();
        if (::fork() == 0) {
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          if (::getppid() == parent) ::pause();  // or it was killed before
          ::_exit(0);
        }
        return ::chroot(empty.c_str()) == 0;
      },
  });
  const pid_t pid = stepper->child->pid();
  stepper->go();
  const std::weak_ptr<Registry> own = registry_of(pid);
  stepper->go();
  threads_.namespaces_change(pid);
  EXPECT_EQ(registry_of(pid), namespaces_.initial());
  ipc_.sweep();
  EXPECT_FALSE(own.expired());
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(stepper->child->wait(0));
  EXPECT_TRUE(is_forgotten(own));
}

TEST_F(IpcNamespacesTest, TwoProcessesOfOneNamespaceShareARegistry) {
  SharedPage<pid_t> second;
  const auto stepper = steps({[&] {
    if (::unshare(CLONE_NEWIPC) != 0) return false;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::pause();
      ::_exit(0);
    }
    *second = pid;
    return true;
  }});
  stepper->go();
  const auto registry = registry_of(stepper->child->pid());
  EXPECT_NE(registry, namespaces_.initial());
  EXPECT_EQ(registry_of(*second), registry);
  ::kill(*second, SIGKILL);  // it may not have asked for its parent's death yet
}

// Each process has its successor in the namespace and ends: a list of processes is old at once.
TEST_F(IpcNamespacesTest, ASuccessionOfProcessesKeepsIt) {
  ask_no_kernel();
  constexpr int kGenerations = 400;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  SharedPage<std::atomic<int>> generation;
  Gate end;
  const auto stepper = steps({
      [] { return ::unshare(CLONE_NEWIPC) == 0; },
      [&] {
        const int own = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        if (::unshare(CLONE_NEWIPC) != 0) return false;
        const pid_t first = ::fork();
        if (first != 0) return ::close(own) == 0 && first > 0;
        if (::setns(own, CLONE_NEWIPC) != 0) ::_exit(1);
        ::close(own);
        for (*generation = 1; *generation < kGenerations; ++*generation) {
          if (::fork() != 0) ::_exit(0);
        }
        end.pass();
        ::_exit(0);
      },
  });
  stepper->go();
  const std::weak_ptr<Registry> own = registry_of(stepper->child->pid());
  stepper->go();
  int sweeps = 0;
  for (; *generation < kGenerations && !own.expired(); ++sweeps) ipc_.sweep();
  EXPECT_EQ(*generation, kGenerations) << "forgotten after " << sweeps << " searches";
  EXPECT_FALSE(own.expired());
  end.open();
  EXPECT_TRUE(is_forgotten(own));
}

}  // namespace
}  // namespace shmvisor
