// FakeCaller: a thread with a subject, an address space and one readable and writable buffer.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include "emulation/syscalls/caller.h"
#include "policy/base/held_locks.h"
#include "tests/fakes/fake_space.h"
#include "tests/fakes/fake_subject.h"
#include "tests/fakes/fake_viewpoint.h"

namespace shmvisor {

class FakeCaller : public Caller {
 public:
  /// Where its memory is; everything else is unmapped.
  static constexpr std::uint64_t kBuffer = 0x10000;
  static constexpr std::size_t kBufferBytes = 256;

  explicit FakeCaller(FakeHost& host, pid_t tgid = 4711)
      : process_record{tgid, nullptr},
        unique_thread(static_cast<std::uint64_t>(tgid)),
        space_(host) {
    buffer.fill(std::byte{0xa5});
  }

  FakeSubject& subject() override { return subject_; }
  FakeViewpoint& viewpoint() override { return viewpoint_; }
  PidRecord process() override { return process_record; }
  CreatorThread thread() override { return {process_record.pid, unique_thread}; }
  std::uint64_t memlock_limit_bytes() override { return memlock_bytes; }
  FakeSpace& space() override { return space_; }
  void long_step() override { on_long_step(); }
  void short_step() override { on_short_step(); }
  void secure() override {
    HeldLocks::assert_may_wait();
    on_secure();
  }
  bool confirm(std::int64_t value) override {
    on_confirm();
    confirmed.push_back(value);
    return alive;
  }

  Result<void> copy_from_user(std::uint64_t address, std::span<std::byte> bytes) override {
    if (!inside(address, bytes.size())) return Errno(EFAULT);
    std::memcpy(bytes.data(), &buffer[address - kBuffer], bytes.size());
    return {};
  }
  Result<void> copy_to_user(std::uint64_t address, std::span<const std::byte> bytes) override {
    if (!inside(address, bytes.size())) return Errno(EFAULT);
    std::memcpy(&buffer[address - kBuffer], bytes.data(), bytes.size());
    return {};
  }

  /// What the buffer begins with.
  template <typename Layout>
  Layout look() const {
    Layout layout;
    std::memcpy(&layout, buffer.data(), sizeof(Layout));
    return layout;
  }
  template <typename Layout>
  void put(const Layout& layout) {
    std::memcpy(buffer.data(), &layout, sizeof(Layout));
  }
  [[nodiscard]] bool untouched_from(std::size_t offset) const {
    return std::all_of(buffer.begin() + static_cast<std::ptrdiff_t>(offset), buffer.end(),
                       [](std::byte one) { return one == std::byte{0xa5}; });
  }

  PidRecord process_record;
  std::uint64_t unique_thread;
  std::array<std::byte, kBufferBytes> buffer;
  std::uint64_t memlock_bytes = 8 << 20;
  std::function<void()> on_long_step = [] {};
  std::function<void()> on_short_step = [] {};
  std::function<void()> on_secure = [] {};
  std::function<void()> on_confirm = [] {};
  bool alive = true;
  std::vector<std::int64_t> confirmed;  ///< what was asked for

 private:
  static bool inside(std::uint64_t address, std::size_t size) {
    return address >= kBuffer && size <= kBufferBytes && address - kBuffer <= kBufferBytes - size;
  }

  FakeSubject subject_;
  FakeViewpoint viewpoint_;
  FakeSpace space_;
};

}  // namespace shmvisor
