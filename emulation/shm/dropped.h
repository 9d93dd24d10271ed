// Dropped: segments that have left their registry, and whose memory is yet to be freed.
//
// To be made under the registry's lock and freed without it. Freeing empties the file, which takes
// time, and may wait for who caught a descriptor of it: a write(2) from memory that its writer
// holds back keeps the file locked. So what is dropped on behalf of somebody else is freed in a
// thread that can be lost (Host::free_aside()); what a call itself drops is freed before its
// answer. Where both are the same segment, the call waits (SegmentFiles::drop_if_over()).
//
// Thread rule: one thread at a time.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "emulation/shm/freeing_memory.h"
#include "emulation/shm/host.h"
#include "emulation/shm/segment.h"

namespace shmvisor {

class Dropped {
 public:
  Dropped() = default;

  /// Makes add() of so many need no memory.
  void reserve(std::size_t count, FreeingMemory& freeing) {
    segments_.reserve(segments_.size() + count);
    spare_.reserve(count);
    while (spare_.size() < count) spare_.push_back(freeing.begin());
  }
  void add(std::shared_ptr<Segment> segment, FreeingMemory& freeing) {
    segments_.push_back({spare_.empty() ? freeing.begin() : std::move(spare_.back()), nullptr});
    if (!spare_.empty()) spare_.pop_back();
    // Before it leaves its registry: who finds it gone must know what to wait for.
    segment->set_freeing(segments_.back().ticket.number());
    segments_.back().segment = std::move(segment);
  }
  [[nodiscard]] bool empty() const { return segments_.empty(); }

  /// Frees the memory, whoever else still holds a segment. Needs no memory for that.
  void free() {
    spare_.clear();
    for (Entry& entry : segments_) entry.segment->memory().discard();
    segments_.clear();
  }

  /// The same in threads that nobody waits for, another one for each user whose they are. Where
  /// memory is short, the pages go with their last descriptor.
  void free_aside(Host& host) noexcept {
    spare_.clear();
    try {
      have_freed(host);
    } catch (const std::bad_alloc&) {
      segments_.clear();
    }
  }

 private:
  void have_freed(Host& host) {
    std::map<uid_t, std::shared_ptr<std::vector<Discarding>>> works;
    for (Entry& entry : segments_) {
      auto discard = entry.segment->memory().discarding();
      if (!discard) continue;
      auto& work = works[entry.segment->account()];
      if (work == nullptr) work = std::make_shared<std::vector<Discarding>>();
      work->push_back({std::move(entry.ticket), std::move(discard)});
    }
    segments_.clear();
    for (const auto& [account, work] : works) {
      host.free_aside(account, [its_own = work] {
        for (Discarding& one : *its_own) {
          std::exchange(one.discard, nullptr)();
          one.ticket = {};
        }
      });
    }
  }

  // The ticket of each is first, and so ends last.
  struct Entry {
    FreeingMemory::Ticket ticket;
    std::shared_ptr<Segment> segment;
  };
  struct Discarding {
    FreeingMemory::Ticket ticket;
    std::function<void()> discard;
  };

  std::vector<Entry> segments_;
  std::vector<FreeingMemory::Ticket> spare_;  ///< reserved
};

/// Segments that free_aside() takes when this is destroyed, also by an exception.
class DroppedAside : public Dropped {
 public:
  explicit DroppedAside(Host& host) : host_(host) {}
  DroppedAside(const DroppedAside&) = delete;
  DroppedAside& operator=(const DroppedAside&) = delete;
  ~DroppedAside() { free_aside(host_); }

 private:
  Host& host_;
};

}  // namespace shmvisor
