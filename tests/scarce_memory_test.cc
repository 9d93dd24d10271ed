// The four calls where memory runs out in the middle: each happens as a whole, or not at all.
#include "tests/failing_memory.h"
#include "tests/shmctl_fixture.h"

namespace shmvisor {
namespace {

constexpr int kMostAllocations = 1000;

class ScarceMemoryTest : public ShmctlTest {
 protected:
  /// What the fakes note after a change needs no memory.
  ScarceMemoryTest() {
    caller.confirmed.reserve(std::size_t{4} * kMostAllocations);
    host.released.reserve(std::size_t{4} * kMostAllocations);
  }

  /// As the supervisor answers it: ENOMEM where there is no memory.
  std::int64_t run_with(int allocations, const RawCall& call, bool& failed) {
    const FailingMemory scarce(allocations);
    std::int64_t result = -ENOMEM;
    try {
      result = run(call, caller);
    } catch (const std::bad_alloc&) {
      result = -ENOMEM;
    }
    failed = FailingMemory::failed();
    return result;
  }

  /// Makes the call with ever more allocations until it succeeds without missing one. `begin`
  /// answers the call; `unchanged` is asked after a failure, `changed` after a success.
  void fail_everywhere(const std::function<RawCall()>& begin,
                       const std::function<bool()>& unchanged,
                       const std::function<bool(std::int64_t)>& changed) {
    for (int allocations = 0; allocations < kMostAllocations; ++allocations) {
      const RawCall call = begin();
      bool failed = false;
      const std::int64_t result = run_with(allocations, call, failed);
      SCOPED_TRACE(std::to_string(allocations) + " allocations");
      if (result < 0) {
        ASSERT_EQ(result, -ENOMEM);
        ASSERT_TRUE(failed);
        ASSERT_TRUE(unchanged());
      } else {
        ASSERT_TRUE(changed(result));
      }
      if (!failed) return;
    }
    FAIL() << "it never succeeds";
  }

  [[nodiscard]] bool is_there(int id) const { return registry.read()->find(id).ok(); }
};

TEST_F(ScarceMemoryTest, RemovalOfASegment) {
  int id = -1;
  fail_everywhere(
      [&] {
        if (id < 0 || !is_there(id)) id = static_cast<int>(get(kKey, kPage, IPC_CREAT | 0600));
        return ctl_call(id, IPC_RMID, 0);
      },
      [&] { return is_there(id) && get(kKey, 0, 0) == id && !host.last().destroyed; },
      [&](std::int64_t /*result*/) { return !is_there(id) && host.last().destroyed; });
}

TEST_F(ScarceMemoryTest, RemovalOfAnAttachedSegment) {
  int id = -1;
  std::uint64_t address = 0;
  fail_everywhere(
      [&] {
        if (id < 0 || (stat(id).shm_perm.mode & SHM_DEST) != 0) {
          if (address != 0) {
            EXPECT_EQ(dt(address), 0);
          }
          id = static_cast<int>(get(kKey, kPage, IPC_CREAT | 0600));
          address = attach(id);
        }
        return ctl_call(id, IPC_RMID, 0);
      },
      [&] {
        return get(kKey, 0, 0) == id && stat(id).shm_perm.mode == 0600 &&
               !host.is_watched(host.last().identity);
      },
      [&](std::int64_t /*result*/) {
        return get(kKey, 0, 0) == -ENOENT && stat(id).shm_perm.mode == (SHM_DEST | 0600) &&
               host.is_watched(host.last().identity);
      });
  EXPECT_EQ(dt(address), 0);
  EXPECT_TRUE(host.last().destroyed);
}

TEST_F(ScarceMemoryTest, LocksAndPermissions) {
  const int id = segment(3 * kPage);
  const auto is_locked = [&] { return (stat(id).shm_perm.mode & SHM_LOCKED) != 0; };
  fail_everywhere([&] { return ctl_call(id, SHM_LOCK, 0); },
                  [&] { return !is_locked() && registry.locked_pages(1000) == 0; },
                  [&](std::int64_t /*result*/) {
                    const bool locked = is_locked() && registry.locked_pages(1000) == 3;
                    return locked && ctl(id, SHM_UNLOCK) == 0;
                  });
  caller.put(wish(1000, 1000, 0640));
  fail_everywhere([&] { return ctl_call(id, IPC_SET, kBuffer); },
                  [&] { return stat(id).shm_perm.mode == 0600; },
                  [&](std::int64_t /*result*/) { return stat(id).shm_perm.mode == 0640; });
}

TEST_F(ScarceMemoryTest, Creation) {
  fail_everywhere([&] { return get_call(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600); },
                  [&] {
                    return get(kKey, 0, 0) == -ENOENT && registry.read()->total_pages() == 0 &&
                           host.living() == 0;
                  },
                  [&](std::int64_t id) {
                    return get(kKey, 0, 0) == id && ctl(static_cast<int>(id), IPC_RMID) == 0;
                  });
}

TEST_F(ScarceMemoryTest, CreationThatEndsUnmapped) {
  registry.set_rmid_forced(true);
  fail_everywhere(
      [&] { return get_call(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600); },
      [&] { return get(kKey, 0, 0) == -ENOENT && host.watched.empty() && host.living() == 0; },
      [&](std::int64_t id) {
        return host.watched.size() == 1 && ctl(static_cast<int>(id), IPC_RMID) == 0 &&
               host.watched.empty();
      });
}

TEST_F(ScarceMemoryTest, ForcedRemoval) {
  const auto orphaned = static_cast<int>(get(stranger, IPC_PRIVATE, kPage, 0600));
  host.dead_threads.insert(stranger.unique_thread);
  const int kept = segment();
  for (int allocations = 0; allocations < kMostAllocations; ++allocations) {
    {
      const FailingMemory scarce(allocations);
      try {
        registry.set_rmid_forced(true);
      } catch (const std::bad_alloc&) {  // NOLINT: what it left behind is looked at below
      }
    }
    if (!FailingMemory::failed()) break;
    ASSERT_TRUE(is_there(kept));
    ASSERT_EQ(host.watched.size(), registry.rmid_forced() ? registry.read()->in_use() : 0U);
    registry.set_rmid_forced(false);
  }
  EXPECT_TRUE(registry.rmid_forced());
  EXPECT_FALSE(is_there(orphaned));
  EXPECT_EQ(ctl(kept, IPC_RMID), 0);
  EXPECT_TRUE(host.watched.empty());
}

TEST_F(ScarceMemoryTest, Attach) {
  const int id = segment();
  std::uint64_t address = 0;
  fail_everywhere([&] { return at_call(id, 0, 0); },
                  [&] { return host.last().areas == 0 && stat(id).shm_atime == 0; },
                  [&](std::int64_t result) {
                    address = static_cast<std::uint64_t>(result);
                    const bool attached = host.last().areas == 1 && stat(id).shm_atime == 1'000'000;
                    // A later failure is to be seen again.
                    return attached && (!FailingMemory::failed() || dt(address) == 0);
                  });
}

TEST_F(ScarceMemoryTest, Detach) {
  std::uint64_t address = 0;
  fail_everywhere(
      [&] {
        if (address == 0) address = attach(segment());
        return dt_call(address);
      },
      [&] { return host.last().areas == 1 && !host.last().destroyed; },
      [&](std::int64_t /*result*/) {
        address = 0;
        return host.last().areas == 0 && !host.last().destroyed;
      });
}

TEST_F(ScarceMemoryTest, DetachOfARemovedSegment) {
  int id = -1;
  std::uint64_t address = 0;
  fail_everywhere(
      [&] {
        if (address == 0) {
          id = segment();
          address = attach(id);
          EXPECT_EQ(ctl(id, IPC_RMID), 0);
        }
        return dt_call(address);
      },
      [&] { return host.last().areas == 1 && is_there(id); },
      [&](std::int64_t /*result*/) {
        address = 0;
        return host.last().areas == 0 && !is_there(id) && host.last().destroyed;
      });
}

TEST_F(ScarceMemoryTest, AttachInThePlaceOfARemovedSegment) {
  const int id = segment();
  int removed = -1;
  std::shared_ptr<FakePages> displaced;
  std::uint64_t address = 0;
  fail_everywhere(
      [&] {
        if (removed < 0) {
          removed = segment();
          displaced = host.pages.back();
          address = attach(removed, address, address == 0 ? 0 : SHM_REMAP);
          EXPECT_EQ(ctl(removed, IPC_RMID), 0);
        }
        return at_call(id, address, SHM_REMAP);
      },
      [&] { return displaced->areas == 1 && is_there(removed); },
      [&](std::int64_t result) {
        const bool gone = displaced->areas == 0 && !is_there(removed) && displaced->destroyed;
        removed = -1;
        return gone && result == static_cast<std::int64_t>(address);
      });
}

TEST_F(ScarceMemoryTest, NewsOfReleasedMemory) {
  constexpr int kSegments = 3;
  for (int allocations = 0; allocations < kMostAllocations; ++allocations) {
    for (int made = 0; made < kSegments; ++made) {
      const int id = segment();
      attach(id);
      EXPECT_EQ(ctl(id, IPC_RMID), 0);
      caller.space().exit();
    }
    {
      const FailingMemory scarce(allocations);
      try {
        files.settle();
      } catch (const std::bad_alloc&) {  // NOLINT: what it left behind is looked at below
      }
    }
    const bool failed = FailingMemory::failed();
    files.settle();
    ASSERT_EQ(host.living(), 0) << allocations << " allocations";
    ASSERT_TRUE(host.watched.empty());
    if (!failed) return;
  }
  FAIL() << "it never succeeds";
}

}  // namespace
}  // namespace shmvisor
