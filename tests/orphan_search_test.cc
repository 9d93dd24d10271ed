// Segments whose processes have ended go, and no others.
#include "supervisor/session/orphan_search.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/fakes/fake_host.h"
#include "tests/registry_fixture.h"

namespace shmvisor {
namespace {

class OrphanSearchTest : public ::testing::Test {
 protected:
  OrphanSearchTest() : registries_(host_, Limits(), 1), registry_(*registries_.initial()) {
    ended_ = ::fork();
    if (ended_ == 0) ::_exit(0);
    siginfo_t info{};
    (void)::waitid(P_PID, static_cast<id_t>(ended_), &info, WEXITED | WNOWAIT);
  }
  ~OrphanSearchTest() override { (void)::waitpid(ended_, nullptr, 0); }

  std::shared_ptr<Segment> add(pid_t maker, pid_t user = 0, Registry* where = nullptr) {
    BackingRequest request;
    request.size_bytes = 4096;
    auto memory = host_.create_memory(request);
    Registry::WriteGuard state = (where == nullptr ? registry_ : *where).write();
    const auto free = state->next_id();
    Segment::Creation made = creation(free->id, abi::kIpcPrivate, 4096);
    made.cpid = {maker, nullptr};
    auto segment = std::make_shared<Segment>(std::move(made), std::move(*memory));
    Dropped none;
    state.apply(InsertSegment{*free, segment}, none);
    if (user != 0) segment->note_attach({{user, nullptr}, 5});
    return segment;
  }
  int after_looks(int looks) {
    for (int look = 0; look < looks; ++look) search_.look(registries_);
    return registry_.read()->in_use();
  }

  FakeHost host_;
  Registries registries_;
  Registry& registry_;
  OrphanSearch search_;
  pid_t ended_ = 0;  ///< a zombie
};

TEST_F(OrphanSearchTest, OneWhoseMakerHasEndedGoesWhenItIsSeenTwice) {
  add(ended_);
  EXPECT_EQ(after_looks(1), 1);
  EXPECT_EQ(after_looks(1), 0);
  EXPECT_TRUE(host_.last().destroyed);
}

TEST_F(OrphanSearchTest, ARestoredOneAwaitsItsFirstUser) {
  const auto segment = add(ended_, ended_);
  Dropped dropped;
  registry_.write().apply(RemoveSegment{segment}, dropped);
  BackingRequest request;
  request.size_bytes = 4096;
  Segment::Creation made = creation(5, abi::kIpcPrivate, 4096);
  made.cpid = {ended_, nullptr};
  made.creator = {::getpid(), 0};
  const auto restored =
      std::make_shared<Segment>(std::move(made), std::move(*host_.create_memory(request)));
  registry_.write().apply(InsertSegment{FreeId{5, 5, 0, true}, restored}, dropped);
  EXPECT_EQ(after_looks(2), 1);
  restored->begin_opening();
  restored->note_attach({{ended_, nullptr}, 5});
  restored->end_opening();
  EXPECT_EQ(after_looks(2), 0);
}

TEST_F(OrphanSearchTest, TheLastUserKeepsItToo) {
  add(ended_, ::getpid());
  add(::getpid(), ended_);
  add(::getpid());
  EXPECT_EQ(after_looks(3), 3);
  add(ended_, ended_);
  EXPECT_EQ(after_looks(2), 3);
}

TEST_F(OrphanSearchTest, OneOfNobodyKnownStays) {
  add(0);
  EXPECT_EQ(after_looks(3), 1);
}

TEST_F(OrphanSearchTest, OneThatIsMappedStays) {
  add(ended_);
  host_.last().areas = 1;
  EXPECT_EQ(after_looks(3), 1);
  host_.last().areas = 0;
  EXPECT_EQ(after_looks(2), 0);
}

// It was seen once, and then another process attached and detached it.
TEST_F(OrphanSearchTest, OneThatIsUsedMeanwhileStays) {
  const auto segment = add(ended_);
  EXPECT_EQ(after_looks(1), 1);
  segment->note_attach({{::getpid(), nullptr}, 6});
  EXPECT_EQ(after_looks(2), 1);
}

TEST_F(OrphanSearchTest, LooksIntoEachNamespace) {
  const auto inner = registries_.of(2);
  add(ended_, 0, inner.get());
  EXPECT_EQ(after_looks(1), 0);
  EXPECT_EQ(inner->read()->in_use(), 1);
  EXPECT_EQ(after_looks(1), 0);
  EXPECT_EQ(inner->read()->in_use(), 0);
}

}  // namespace
}  // namespace shmvisor
