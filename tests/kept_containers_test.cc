// What a server of an agent notes of its containers, and what the next one makes of it.
#include "supervisor/agent/kept_containers.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/agent/containers.h"
#include "supervisor/kernel/shared_object.h"
#include "tests/server_that_dies.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

TEST(KeptTableTest, FreeEntriesAreTakenAgainTheOldestFirst) {
  struct Entry {
    std::atomic<std::uint32_t> state{0};
    int value = 7;
  };
  auto* const table = make_shared_object<KeptTable<Entry, 3>>();
  std::vector<Entry*> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(table->make());
    all.back()->state.store(1);
    all.back()->value = i;
  }
  EXPECT_EQ(table->make(), nullptr);
  EXPECT_EQ(table->number_of(*all[2]), 2U);
  EXPECT_EQ(table->find(1), all[1]);
  EXPECT_EQ(table->find(3), nullptr);
  all[1]->state.store(0);
  EXPECT_EQ(table->find(1), nullptr);
  Entry* const again = table->make();
  EXPECT_EQ(again, all[1]);
  EXPECT_EQ(again->value, 7) << "it is new";
  int count = 0;
  table->for_each([&count](const Entry&) { ++count; });
  EXPECT_EQ(count, 2) << "one that has no state is not there";
}

TEST(KeptTableTest, LargeEntriesAreTakenAgainSoon) {
  struct Entry {
    std::atomic<std::uint32_t> state{0};
  };
  auto* const table = make_shared_object<KeptTable<Entry, 8, TakenAgain::kSoon>>();
  Entry* const first = table->make();
  first->state.store(1);
  Entry* const second = table->make();
  EXPECT_NE(second, first);
  second->state.store(1);
  first->state.store(0);
  for (int i = 0; i < 100; ++i) {
    Entry* const again = table->make();
    EXPECT_EQ(again, first);
    again->state.store(1);
    again->state.store(0);
  }
}

class KeptContainersTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  KeptContainersTest() { KeptDescriptors::use(&kept_.page.descriptors); }
  ~KeptContainersTest() override { KeptDescriptors::use(nullptr); }

  /// One server of the agent.
  struct OfServer {
    explicit OfServer(KeptContainersTest& test)
        : state(std::move(*KeptState::read(&test.kept_))),
          containers(loop, std::make_shared<SessionResources>(features), Limits()) {
      containers.keep_in(*state, test.containers_);
      const auto done = containers.go_on({});
      went_on = done ? "" : done.error();
    }
    void turn_until_none_is_left() {
      const auto end = EventLoop::Clock::now() + std::chrono::seconds(20);
      while (containers.count() != 0 && EventLoop::Clock::now() < end) {
        (void)loop.turn(EventLoop::Clock::now() + std::chrono::milliseconds(20));
      }
    }
    [[nodiscard]] std::string names() const {
      std::string all;
      for (const NamedSession& named : containers.sessions()) all += named.name + " ";
      return all;
    }

    KernelFeatures features;
    EventLoop loop;
    std::unique_ptr<KeptState> state;
    Containers containers;
    std::string went_on;
  };

  static ContainerProcess process_of(const SupervisedChild& child, std::string id,
                                     std::string metadata = "") {
    ContainerProcess process;
    process.container_id = std::move(id);
    process.pid = child.pid();
    process.metadata = std::move(metadata);
    return process;
  }

  /// A server takes them in, does `more` and dies.
  template <typename More>
  void serve_and_die_with(const std::vector<std::pair<SupervisedChild*, ContainerProcess>>& all,
                          More more) {
    EXPECT_TRUE(serve_and_die([&] {
      auto* const server = new OfServer(*this);  // nothing is destroyed
      for (const auto& [child, process] : all) {
        StrangersFile listener =
            StrangersFile::of(UniqueFd(::fcntl(child->listener().fd(), F_DUPFD_CLOEXEC, 0)));
        if (server->containers.serve(process, listener, 0)) ::_exit(1);
      }
      more(*server);
    }));
  }
  [[nodiscard]] std::size_t named() {
    std::vector<int> all;
    containers_.list_descriptors(all);
    std::erase(all, -1);
    for (const int fd : all) EXPECT_GE(::fcntl(fd, F_GETFD), 0) << fd << " is not open";
    return all.size();
  }

  KeptContainers& containers_ = *KeptContainers::create();
  const std::unique_ptr<StateFile> state_file_ = std::move(*StateFile::create());
  KeptUpgrade upgrade_;
  Kept kept_{*KeeperPage::create(),
             *state_file_,
             nullptr,
             upgrade_,
             -1,
             -1,
             ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
             ::getpid()};
};

TEST_F(KeptContainersTest, TheNextServerHasThem) {
  Gate end;
  const auto body = [&end] { return end.pass() ? 0 : 1; };
  SupervisedChild first(body);
  SupervisedChild second(body);
  SupervisedChild third(body);
  ASSERT_EQ(first.trouble() + second.trouble() + third.trouble(), "");
  serve_and_die_with({{&first, process_of(first, "alone", "shmmni=3")},
                      {&second, process_of(second, "one", "group=pair")},
                      {&third, process_of(third, "two", "group=pair")}},
                     [](OfServer&) {});
  EXPECT_GE(named(), 3U);
  OfServer next(*this);
  ASSERT_EQ(next.went_on, "");
  EXPECT_EQ(next.containers.count(), 3U);
  EXPECT_EQ(next.names(), "group:pair alone ");
  for (const NamedSession& one : next.containers.sessions()) {
    const auto shmmni = one.session->registries().initial()->read()->limits().shmmni;
    EXPECT_EQ(shmmni == 3, one.name == "alone") << one.name;
  }
  end.open();
  end.open();
  end.open();
  next.turn_until_none_is_left();
  EXPECT_EQ(next.containers.count(), 0U);
  EXPECT_EQ(next.names(), "");
  EXPECT_TRUE(next.containers.drain(std::chrono::seconds(5)));
  EXPECT_EQ(named(), 0U);
}

TEST_F(KeptContainersTest, WhatEndedWithTheServerIsForgotten) {
  Gate end;
  SupervisedChild child([&end] { return end.pass() ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  serve_and_die_with({{&child, process_of(child, "gone")}}, [](OfServer&) {});
  end.open();
  EXPECT_EQ(exit_status_of(child.child()), 0);
  OfServer next(*this);
  ASSERT_EQ(next.went_on, "");
  next.turn_until_none_is_left();
  EXPECT_EQ(next.containers.count(), 0U);
  EXPECT_TRUE(next.containers.drain(std::chrono::seconds(5)));
  EXPECT_EQ(named(), 0U);
}

// A server may die when a container is noted, and its first listener is not.
TEST_F(KeptContainersTest, AContainerWithoutAListenerIsOver) {
  KeptContainer* const half = containers_.containers.make();
  ASSERT_TRUE(half->name("half", "half"));
  half->session = 1;
  half->state.store(KeptContainer::kMade);
  KeptSession* const session = containers_.sessions.make();
  session->state.store(1);
  OfServer next(*this);
  ASSERT_EQ(next.went_on, "");
  EXPECT_EQ(next.containers.count(), 0U);
  EXPECT_EQ(half->state.load(), KeptContainer::kFree);
  EXPECT_EQ(session->state.load(), 0U);
}

// Somebody else's file under the number of a listener: nobody is to be answered by it.
TEST_F(KeptContainersTest, AnotherFileIsNoListener) {
  Gate end;
  SupervisedChild child([&end] { return end.pass() ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  serve_and_die_with({{&child, process_of(child, "lost")}}, [this](OfServer&) {
    containers_.listeners.for_each([](const KeptListener& one) {
      const UniqueFd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      ::dup2(other.get(), one.fd);
    });
  });
  OfServer next(*this);
  ASSERT_EQ(next.went_on, "");
  EXPECT_EQ(next.containers.count(), 0U);
  end.open();
}

TEST_F(KeptContainersTest, AMessageIsServedOnce) {
  Gate end;
  SupervisedChild child([&end] { return end.pass() ? 0 : 1; });
  ASSERT_EQ(child.trouble(), "");
  constexpr std::uint64_t kConnection = 4711;
  EXPECT_TRUE(serve_and_die([&] {
    auto* const server = new OfServer(*this);
    StrangersFile listener =
        StrangersFile::of(UniqueFd(::fcntl(child.listener().fd(), F_DUPFD_CLOEXEC, 0)));
    if (server->containers.serve(process_of(child, "c"), listener, kConnection)) {
      ::_exit(1);
    }
  }));
  OfServer next(*this);
  ASSERT_EQ(next.went_on, "");
  EXPECT_FALSE(next.containers.has_served(kConnection + 1));
  EXPECT_FALSE(next.containers.has_served(0));
  EXPECT_TRUE(next.containers.has_served(kConnection));
  EXPECT_FALSE(next.containers.has_served(kConnection)) << "once";
  end.open();
  next.turn_until_none_is_left();
  EXPECT_TRUE(next.containers.drain(std::chrono::seconds(5)));
}

TEST_F(KeptContainersTest, NamesAndPartsHaveRoomOrAreEverybody) {
  KeptContainer& one = *containers_.containers.make();
  EXPECT_FALSE(one.name(std::string(KeptContainer::kMostText, 'x'), "y"));
  ASSERT_TRUE(one.name("id", "id#2"));
  EXPECT_EQ(one.id(), "id");
  EXPECT_EQ(one.called(), "id#2");
  ContainerScope::Part part;
  part.control_group = "/some/where";
  one.add(part);
  EXPECT_FALSE(one.everybody.load());
  part.control_group = std::string(KeptContainer::kMostText, 'x');
  one.add(part);
  EXPECT_TRUE(one.everybody.load());
  EXPECT_EQ(one.id() + one.called(), "idid#2");
}

}  // namespace
}  // namespace shmvisor
