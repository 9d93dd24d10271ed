// Dropped: segments that have left their registry, and whose memory is yet to be freed.
//
// To be made under the registry's lock and freed without it. Freeing empties the file, which takes
// time, and may wait for who caught a descriptor of it: a write(2) from memory that its writer
// holds back keeps the file locked. So what is dropped on behalf of somebody else is freed in a
// thread that can be lost (Host::free_aside()); what a call itself drops is freed before its
// answer.
//
// Thread rule: one thread at a time.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "emulation/shm/freeing_memory.h"
#include "emulation/shm/host.h"
#include "emulation/shm/segment.h"

namespace shmvisor {

class Dropped {
 public:
  Dropped() = default;

  void add(std::shared_ptr<Segment> segment, FreeingMemory& freeing) {
    if (segments_.empty()) ticket_ = freeing.begin();
    segments_.push_back(std::move(segment));
  }
  [[nodiscard]] bool empty() const { return segments_.empty(); }

  /// Frees the memory, whoever else still holds a segment.
  void free() {
    for (const auto& segment : segments_) {
      if (const auto discard = segment->memory().discarding()) discard();
    }
    segments_.clear();
    ticket_ = {};
  }

  /// The same in threads that nobody waits for, another one for each user whose they are.
  void free_aside(Host& host) {
    struct Work {
      std::shared_ptr<FreeingMemory::Ticket> ticket;  ///< until all are done
      std::vector<std::function<void()>> discardings;
    };
    std::map<uid_t, std::shared_ptr<Work>> works;
    std::shared_ptr<FreeingMemory::Ticket> ticket;
    for (const auto& segment : segments_) {
      auto discard = segment->memory().discarding();
      if (!discard) continue;
      if (ticket == nullptr) {
        ticket = std::make_shared<FreeingMemory::Ticket>(std::exchange(ticket_, {}));
      }
      auto& work = works[segment->account()];
      if (work == nullptr) {
        work = std::make_shared<Work>();
        work->ticket = ticket;
      }
      work->discardings.push_back(std::move(discard));
    }
    segments_.clear();
    ticket_ = {};
    ticket = nullptr;
    for (const auto& [account, work] : works) {
      host.free_aside(account, [its_own = work] {
        for (auto& discard : its_own->discardings) std::exchange(discard, nullptr)();
        its_own->ticket = nullptr;
      });
    }
  }

 private:
  FreeingMemory::Ticket ticket_;  ///< ends after the segments
  std::vector<std::shared_ptr<Segment>> segments_;
};

}  // namespace shmvisor
