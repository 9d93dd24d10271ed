// The fixture of tests of Registry: one registry over fakes, and segments in it.
#pragma once

#include <gtest/gtest.h>

#include "emulation/abi/shm_abi.h"
#include "emulation/shm/registry.h"
#include "tests/fakes/fake_host.h"
#include "tests/fakes/fake_viewpoint.h"
#include "tests/fakes/registry_changes.h"

namespace shmvisor {

inline Segment::Creation creation(int id, key_t key, std::uint64_t size,
                                  std::uint64_t creator = 1) {
  Segment::Creation creation;
  creation.id = id;
  creation.perm.key = key;
  creation.perm.mode = 0600;
  creation.size_bytes = size;
  creation.cpid = {1, nullptr};
  creation.creator = {1, creator};
  creation.now_seconds = 1'000'000;
  return creation;
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest()
      : files(host),
        owner(std::make_shared<Registry>(host, files,
                                         Limits{.shmmax = 1 << 30, .shmall = 1000, .shmmni = 4})),
        registry(*owner) {}

  Registry::SegmentPointer add(key_t key = kNoKey, std::uint64_t size = 4096,
                               std::uint64_t creator = 1) {
    BackingRequest request;
    request.size_bytes = size;
    auto memory = host.create_memory(request);
    EXPECT_TRUE(memory);
    Registry::WriteGuard state = registry.write();
    const auto free = state->next_id();
    if (!free) return nullptr;
    auto segment =
        std::make_shared<Segment>(creation(free->id, key, size, creator), std::move(*memory));
    Dropped none;
    state.apply(InsertSegment{*free, segment}, none);
    return segment;
  }
  void remove(const Registry::SegmentPointer& segment) { apply(RemoveSegment{segment}); }
  void apply(const Change& change) {
    Dropped dropped;
    { registry.write().apply(change, dropped); }
    dropped.free();
  }
  FakePages& pages(const Registry::SegmentPointer& segment) {
    return *host.find(segment->memory().identity());
  }
  void lock(const Registry::SegmentPointer& segment, bool locked, uid_t uid) {
    apply(SetLocked{segment, locked, uid});
    segment->renew_lock([&] { return registry.lock_mode(*segment); });
  }
  void map(const Registry::SegmentPointer& segment) {
    segment->begin_opening();
    pages(segment).areas = 1;
    registry.end_opening(segment);
  }
  /// The last mapping goes.
  void release(const Registry::SegmentPointer& segment) {
    pages(segment).areas = 0;
    host.note_release(segment->memory().identity());
  }

  static constexpr key_t kNoKey = abi::kIpcPrivate;

  FakeHost host;
  SegmentFiles files;
  std::shared_ptr<Registry> owner;
  Registry& registry;
};

}  // namespace shmvisor
