// ShmTest: a registry on a fake machine, and the four calls as a program makes them: by number,
// through decode.
#pragma once

#include <gtest/gtest.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "emulation/abi/abi.h"
#include "emulation/abi/call_numbers.h"
#include "emulation/syscalls/shm_call.h"
#include "tests/fakes/fake_caller.h"
#include "tests/fakes/fake_host.h"

namespace shmvisor {

class ShmTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kPage = kPageBytes;
  static constexpr std::uint64_t kBuffer = FakeCaller::kBuffer;
  static constexpr std::uint64_t kNowhere = 0x1;  ///< no address of any caller's

  explicit ShmTest(const Limits& limits = {}, const MemoryPolicy& policy = {})
      : files(host),
        owner(std::make_shared<Registry>(host, files, limits, policy)),
        registry(*owner),
        caller(host) {}

  static RawCall raw(int number, std::uint64_t first = 0, std::uint64_t second = 0,
                     std::uint64_t third = 0) {
    return {Abi::kX86_64, number, {first, second, third}};
  }
  std::int64_t run(const RawCall& call, FakeCaller& by) {
    return answer_call(decode(call), by, registry).value();
  }

  /// The caller is gone before anything happens.
  void run_killed(const RawCall& call) {
    caller.alive = false;
    run(call, caller);
    caller.alive = true;
  }

  static RawCall get_call(key_t key, std::uint64_t size, int flags) {
    return raw(kX86_64Calls.shmget, static_cast<std::uint32_t>(key), size,
               static_cast<std::uint32_t>(flags));
  }
  static RawCall at_call(int id, std::uint64_t address, int flags) {
    return raw(kX86_64Calls.shmat, static_cast<std::uint32_t>(id), address,
               static_cast<std::uint32_t>(flags));
  }
  static RawCall ctl_call(int id, int command, std::uint64_t buffer) {
    return raw(kX86_64Calls.shmctl, static_cast<std::uint32_t>(id),
               static_cast<std::uint32_t>(command), buffer);
  }
  static RawCall dt_call(std::uint64_t address) { return raw(kX86_64Calls.shmdt, address); }

  std::int64_t get(key_t key, std::uint64_t size, int flags) {
    return get(caller, key, size, flags);
  }
  std::int64_t get(FakeCaller& by, key_t key, std::uint64_t size, int flags) {
    return run(get_call(key, size, flags), by);
  }
  std::int64_t at(int id, std::uint64_t address = 0, int flags = 0) {
    return at(caller, id, address, flags);
  }
  std::int64_t at(FakeCaller& by, int id, std::uint64_t address = 0, int flags = 0) {
    return run(at_call(id, address, flags), by);
  }
  std::int64_t dt(std::uint64_t address) { return dt(caller, address); }
  std::int64_t dt(FakeCaller& by, std::uint64_t address) { return run(dt_call(address), by); }
  std::int64_t ctl(int id, int command, std::uint64_t buffer = kBuffer) {
    return ctl(caller, id, command, buffer);
  }
  std::int64_t ctl(FakeCaller& by, int id, int command, std::uint64_t buffer = kBuffer) {
    return run(ctl_call(id, command, buffer), by);
  }

  /// A new private segment; the test ends where there is none.
  int segment(std::uint64_t size = kPage, int mode = 0600) {
    const std::int64_t id = get(IPC_PRIVATE, size, IPC_CREAT | mode);
    EXPECT_GE(id, 0) << "no segment: errno " << -id;
    return static_cast<int>(id);
  }
  std::uint64_t attach(int id, std::uint64_t address = 0, int flags = 0) {
    const std::int64_t at_address = at(id, address, flags);
    EXPECT_GT(at_address, 0) << "no attach: errno " << -at_address;
    return static_cast<std::uint64_t>(at_address);
  }
  /// IPC_STAT, by somebody who may.
  struct shmid_ds stat(int id) {
    FakeCaller root(host, 1);
    root.subject().capabilities.insert(Capability::kIpcOwner);
    EXPECT_EQ(ctl(root, id, IPC_STAT), 0);
    return root.look<struct shmid_ds>();
  }

  FakeHost host;
  SegmentFiles files;
  const std::shared_ptr<Registry> owner;
  Registry& registry;
  FakeCaller caller;
};

}  // namespace shmvisor
