// NamespaceQuestion, and IpcNamespaces with it.
#include "supervisor/namespaces/namespace_question.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/procfs/proc_file.h"
#include "tests/ipc_namespaces_fixture.h"

namespace shmvisor {
namespace {

using NamespaceQuestionTest = IpcNamespacesTest;

bool namespace_is_open(IpcNamespaceId id) {
  const auto open = numbered_entries("/proc/self/fd");
  return open && std::ranges::any_of(*open, [id](int fd) {
           struct stat status {};
           return ::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWIPC && ::fstat(fd, &status) == 0 &&
                  status.st_ino == id;
         });
}

// /proc shows it nowhere.
TEST_F(NamespaceQuestionTest, ADescriptorOnItsWayKeepsIt) {
  const UniqueFd ours(::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC));
  if (!NamespaceQuestion::of(ours.get(), features_)) GTEST_SKIP() << "this kernel cannot be asked";
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  UniqueFd sends(ends[0]);
  UniqueFd receives(ends[1]);
  const std::byte byte{};
  const auto stepper = steps({
      [] { return ::unshare(CLONE_NEWIPC) == 0; },
      [&] {
        const UniqueFd own(::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC));
        const std::array files{own.get()};
        return send_bytes(sends.get(), {&byte, 1}, files) && ::setns(ours.get(), CLONE_NEWIPC) == 0;
      },
      [&] {
        receives.reset();
        sends.reset();
        return true;
      },
  });
  const pid_t pid = stepper->child->pid();
  stepper->go();
  const IpcNamespaceId id = NamespaceIds::of_thread(pid).ipc;
  const std::weak_ptr<Registry> own = registry_of(pid);
  ASSERT_NE(own.lock(), namespaces_.initial());
  stepper->go();
  threads_.namespaces_change(pid);
  EXPECT_EQ(registry_of(pid), namespaces_.initial());
  for (int sweep = 0; sweep < 5; ++sweep) ipc_.sweep();
  EXPECT_FALSE(own.expired());
  EXPECT_TRUE(ipc_.need_sweeping());
  EXPECT_TRUE(namespace_is_open(id)) << "it is held as before";
  stepper->go();
  for (int sweep = 0; sweep < 5; ++sweep) ipc_.sweep();
  EXPECT_FALSE(own.expired()) << "we can receive it still";
  receives.reset();
  EXPECT_TRUE(is_forgotten(own));
  EXPECT_FALSE(namespace_is_open(id));
}

// Where nothing of it is to be had at that moment nobody is served, since its number may be
// another's.
TEST_F(NamespaceQuestionTest, AQuestionHasItsAnswerLater) {
  const auto stepper = steps({[] { return ::unshare(CLONE_NEWIPC) == 0; }});
  stepper->go();
  const std::string path = "/proc/" + std::to_string(stepper->child->pid()) + "/ns/ipc";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto question = NamespaceQuestion::of(file.get(), features_);
  if (!question) GTEST_SKIP() << "this kernel cannot be asked";
  const std::uint64_t id = inode_of(file);
  using Answer = NamespaceQuestion::Answer;
  EXPECT_EQ(question->ask(), Answer::kLives);
  EXPECT_EQ(inode_of(file), id);
  EXPECT_EQ(::ioctl(file.get(), NS_GET_NSTYPE), -1) << "a path alone";
  question->open_in_full();
  EXPECT_EQ(::ioctl(file.get(), NS_GET_NSTYPE), CLONE_NEWIPC);
  EXPECT_NE(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Answer full = question->ask_again();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(full, Answer::kNotHeld);
  EXPECT_EQ(question->ask_again(), Answer::kLives);
  ::kill(stepper->child->pid(), SIGKILL);
  ASSERT_TRUE(stepper->child->wait(0));
  EXPECT_EQ(question->ask(), Answer::kGone);
  EXPECT_NE(inode_of(file), id);
}

}  // namespace
}  // namespace shmvisor
