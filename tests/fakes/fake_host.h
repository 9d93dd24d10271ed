// FakeHost: a machine whose clock, memory and mappings a test sets and sees.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <vector>

#include "emulation/shm/host.h"
#include "tests/fakes/fake_memory.h"

namespace shmvisor {

class FakeHost : public Host {
 public:
  Result<std::uint64_t> huge_page_bytes(unsigned size_log2) override {
    const auto found = huge_pages.find(size_log2);
    if (found == huge_pages.end()) return Errno(EINVAL);
    return found->second;
  }
  gid_t hugetlb_shm_group() override { return huge_group; }

  using Host::create_memory;
  Result<std::unique_ptr<BackingMemory>> create_memory(const BackingRequest& request,
                                                       Denial& denial) override {
    const std::function<void()> may_replace_itself = while_making;
    may_replace_itself();
    if (create_error != Errno(0)) {
      denial = create_denial;
      return create_error;
    }
    const std::uint64_t unit = request.huge ? request.huge_page_bytes : 4096;
    auto made = std::make_shared<FakePages>();
    made->identity = {1, next_inode++};
    made->request = request;
    made->size_bytes = (request.size_bytes + unit - 1) / unit * unit;
    std::unique_ptr<BackingMemory> memory = std::make_unique<FakeMemory>(made, open_error);
    pages.push_back(made);
    return memory;
  }

  Result<MappingCounts> count_mappings(std::span<const FileIdentity> files,
                                       pid_t /*waiting*/) override {
    while_counting();
    if (count_error != Errno(0)) return count_error;
    std::vector<std::uint64_t> counts;
    for (const FileIdentity& file : files) {
      ++counted;
      const auto found = find(file);
      counts.push_back(found == nullptr || found->hidden_looks > 0 ? 0 : found->areas);
      if (found != nullptr && found->hidden_looks > 0) --found->hidden_looks;
    }
    return MappingCounts{std::move(counts), counts_complete};
  }
  bool counting_takes_long() override { return counts_take_long; }
  bool thread_lives(const CreatorThread& thread) override {
    return !dead_threads.contains(thread.unique);
  }
  void watch_release(const BackingMemory& memory) override {
    if (out_of_memory) throw std::bad_alloc();
    watched.push_back(memory.identity());
  }
  void unwatch_release(const BackingMemory& memory) override {
    std::erase(watched, memory.identity());
  }
  std::vector<FileIdentity> take_released(std::size_t most) override {
    ++released_asked;
    std::vector<FileIdentity> taken;
    taken.reserve(std::min(most, released.size()));  // before any is taken
    while (!released.empty() && taken.size() < most) {
      taken.push_back(released.front());
      released.erase(released.begin());
    }
    return taken;
  }
  void free_aside(uid_t /*account*/, std::function<void()> free) override {
    if (out_of_memory) throw std::bad_alloc();
    if (while_freeing_aside) while_freeing_aside();
    ++freed_aside;
    free_in(std::move(free));
  }
  std::int64_t now_seconds() override { return now; }

  std::shared_ptr<FakePages> find(const FileIdentity& file) const {
    for (const auto& one : pages) {
      if (one->identity == file) return one;
    }
    return nullptr;
  }
  /// The pages that the description `fd` belongs to.
  std::shared_ptr<FakePages> find_description(int fd) const {
    for (const auto& one : pages) {
      if (one->find(fd) != nullptr) return one;
    }
    return nullptr;
  }
  /// The pages of the segment that was made last.
  FakePages& last() { return *pages.back(); }
  bool is_watched(const FileIdentity& file) const {
    return std::find(watched.begin(), watched.end(), file) != watched.end();
  }
  /// What inotify says when a description ends.
  void note_release(const FileIdentity& file) {
    if (is_watched(file)) released.push_back(file);
  }
  /// Segments whose memory still exists.
  int living() const {
    return static_cast<int>(
        std::count_if(pages.begin(), pages.end(), [](const auto& one) { return !one->destroyed; }));
  }

  std::int64_t now = 1'000'000;
  std::map<unsigned, std::uint64_t> huge_pages{{0, 2 << 20}, {21, 2 << 20}, {30, 1 << 30}};
  gid_t huge_group = 4242;
  std::function<void()> while_making = [] {};
  std::function<void()> while_counting = [] {};
  Errno create_error{0};
  Errno count_error{0};
  bool counts_complete = true;
  bool counts_take_long = true;
  Denial create_denial;
  Errno open_error{0};  ///< of the memory made from now on
  std::vector<std::shared_ptr<FakePages>> pages;
  std::vector<FileIdentity> watched;
  std::vector<FileIdentity> released;
  std::set<std::uint64_t> dead_threads;  ///< by their unique number
  int counted = 0;
  int released_asked = 0;
  int freed_aside = 0;
  bool out_of_memory = false;  ///< to watch, or to free aside
  std::function<void()> while_freeing_aside;
  /// Where what is freed aside is freed.
  std::function<void(std::function<void()>)> free_in = [](const auto& free) { free(); };
  std::uint64_t next_inode = 100;
};

}  // namespace shmvisor
