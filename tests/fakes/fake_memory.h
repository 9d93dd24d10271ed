// FakeMemory: a segment's pages as far as the emulation can tell: who holds a description of them,
// and how many mappings there are.
//
// FakePages is what memory, descriptions and mappings share, as the kernel's inode is. A
// description is an empty memfd of its own: it is alive as long as its descriptor is open, and
// dies when FakeSpace takes it over into a mapping or somebody drops it.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <vector>

#include "emulation/memmap/backing_memory.h"
#include "emulation/shm/host.h"
#include "policy/base/held_locks.h"

namespace shmvisor {

struct FakePages {
  struct Description {
    int fd = -1;
    ino_t inode = 0;
    Access maximum = kAnyAccess;
  };

  FileIdentity identity;
  BackingRequest request;
  std::uint64_t size_bytes = 0;
  PageUsage usage;
  LockMode locked = LockMode::kNone;
  std::function<void()> while_freeing = [] {};
  std::function<void()> while_opening = [] {};
  bool destroyed = false;
  std::uint64_t areas = 0;  ///< mappings of it, in all spaces together
  int hidden_looks = 0;     ///< that will not see these mappings
  std::vector<Description> descriptions;

  /// The description that `fd` is, or null.
  const Description* find(int fd) const {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return nullptr;
    for (const Description& one : descriptions) {
      if (one.fd == fd && one.inode == status.st_ino) return &one;
    }
    return nullptr;
  }
  void free() {
    if (destroyed) return;
    while_freeing();
    destroyed = true;
  }
  bool held() const {
    for (const Description& one : descriptions) {
      if (find(one.fd) == &one) return true;
    }
    return false;
  }
};

class FakeMemory : public BackingMemory {
 public:
  FakeMemory(std::shared_ptr<FakePages> pages, Errno open_error)
      : pages_(std::move(pages)), open_error_(open_error) {}
  ~FakeMemory() override { pages_->free(); }

  FileIdentity identity() const override { return pages_->identity; }
  std::uint64_t mapped_size_bytes() const override { return pages_->size_bytes; }
  bool is_huge() const override { return pages_->request.huge; }
  std::string name() const override { return "/memfd:" + pages_->request.name + " (deleted)"; }
  bool is_committed() const override { return pages_->request.commit; }
  Result<BackingFile> open(const Access& maximum) override {
    HeldLocks::assert_may_wait();
    const std::function<void()> may_replace_itself = pages_->while_opening;
    may_replace_itself();
    if (open_error_ != Errno(0)) return open_error_;
    UniqueFd fd(::memfd_create("description", MFD_CLOEXEC));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Errno::current();
    pages_->descriptions.push_back({fd.get(), status.st_ino, maximum});
    return BackingFile{std::move(fd)};
  }
  bool in_use() override { return pages_->areas != 0 || pages_->held(); }
  PageUsage usage() override { return pages_->usage; }
  void lock(LockMode mode) override { pages_->locked = mode; }
  std::function<void()> discarding() override {
    return [pages = pages_] {
      HeldLocks::assert_may_wait();
      pages->free();
    };
  }
  void discard() override {
    HeldLocks::assert_may_wait();
    pages_->free();
  }

 private:
  std::shared_ptr<FakePages> pages_;
  const Errno open_error_;
};

}  // namespace shmvisor
