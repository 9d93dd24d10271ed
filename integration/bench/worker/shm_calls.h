// ShmCalls: the four calls of a worker, or what a cooperating worker does in their place under the
// floor supervisor (floor_supervisor.h).
//
// Every failure ends the worker: a benchmark of failing calls would look fast.
// Thread rule: no shared state; any thread, any process forked from the worker.
#pragma once

#include <sys/shm.h>

#include <cstddef>

namespace shmvisor {

class ShmCalls {
 public:
  explicit ShmCalls(bool cooperate) : cooperate_(cooperate) {}

  /// A key of IPC_PRIVATE makes a new segment; any other one finds it or makes it.
  [[nodiscard]] int get(key_t key, std::size_t size_bytes) const;
  [[nodiscard]] void* attach(int id, std::size_t size_bytes) const;
  void detach(void* address, std::size_t size_bytes) const;
  void remove(int id) const;
  /// The number of attaches; 0 under the floor supervisor.
  [[nodiscard]] std::size_t stat(int id) const;

  [[nodiscard]] bool cooperate() const { return cooperate_; }

 private:
  bool cooperate_;
};

/// A segment that is removed at the end.
class BenchSegment {
 public:
  BenchSegment(const ShmCalls& calls, key_t key, std::size_t size_bytes)
      : calls_(calls), id_(calls.get(key, size_bytes)), size_bytes_(size_bytes) {}
  BenchSegment(const BenchSegment&) = delete;
  BenchSegment& operator=(const BenchSegment&) = delete;
  ~BenchSegment() { calls_.remove(id_); }

  [[nodiscard]] int id() const { return id_; }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] void* attach() const { return calls_.attach(id_, size_bytes_); }
  void detach(void* address) const { calls_.detach(address, size_bytes_); }

 private:
  const ShmCalls& calls_;
  int id_;
  std::size_t size_bytes_;
};

}  // namespace shmvisor
