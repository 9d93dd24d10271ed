// Any sequence of calls, of changes to mappings, threads and limits, over the registries of two IPC
// namespaces: what must always hold is looked at after every step, and a call that fails, or whose
// answer does not reach the caller, has changed nothing.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <vector>

#include "emulation/abi/abi.h"
#include "emulation/abi/call_numbers.h"
#include "emulation/shm/registries.h"
#include "emulation/syscalls/shm_call.h"
#include "policy/base/error_result.h"
#include "tests/fakes/fake_caller.h"
#include "tests/fakes/fake_host.h"
#include "tests/fakes/registry_changes.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

constexpr std::size_t kCallers = 3;
constexpr std::uint64_t kPage = kPageBytes;
constexpr std::size_t kMostSteps = 200;

class Machine {
 public:
  Machine() : namespaces_(host_, Limits{.shmmax = 1 << 24, .shmall = 64, .shmmni = 8}, 1) {
    for (std::size_t i = 0; i < kCallers; ++i) {
      callers_[i] = std::make_unique<FakeCaller>(host_, static_cast<pid_t>(100 + i));
      callers_[i]->memlock_bytes = 4 * kPage;
      callers_[i]->subject().become(i == 2 ? 2000 : 1000, i == 2 ? 2000 : 1000);
    }
    callers_[0]->subject().capabilities = {Capability::kIpcOwner, Capability::kSysAdmin,
                                           Capability::kIpcLock};
  }

  void step(FuzzInput& input) {
    FakeCaller& caller = *callers_[input.below(kCallers)];
    const std::size_t kind = input.below(16);
    if (kind < 10) {
      call(input, caller);
    } else if (kind < 13) {
      change_mappings(input, caller);
    } else {
      change_surroundings(input, caller);
    }
    check();
  }

 private:
  /// What a segment is but for what attaches and detaches stamp.
  using Shown = std::tuple<std::uint64_t, int, key_t, uid_t, gid_t, mode_t, std::uint64_t,
                           std::int64_t, pid_t>;

  Registry& registry(std::size_t index) { return *namespaces_.of(index + 1); }

  std::vector<Shown> shown() {
    std::vector<Shown> all;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto rows = registry(i).rows(callers_[0]->viewpoint());
      for (const ShmTableRow& row : *rows) {
        all.emplace_back(i, row.id, row.ds.key, row.ds.uid, row.ds.gid, row.ds.mode,
                         row.ds.segsz_bytes, row.ds.ctime, row.ds.cpid);
      }
    }
    return all;
  }

  RawCall take_call(FuzzInput& input) {
    RawCall raw;
    raw.abi = input.below(4) == 0 ? Abi::kI386 : Abi::kX86_64;
    const CallNumbers& numbers = call_numbers(raw.abi);
    auto& [first, second, third, fourth, fifth, sixth] = raw.arguments;
    const std::uint64_t buffer = input.one_of<std::uint64_t>(
        {FakeCaller::kBuffer, FakeCaller::kBuffer, FakeCaller::kBuffer + 200, 1, 0});
    switch (input.below(8)) {
      case 0:
      case 1:
        raw.number = numbers.shmget;
        first = input.one_of<std::uint64_t>({0, 1, 2, 3});
        second = input.one_of<std::uint64_t>(
            {0, 1, kPage, kPage + 1, 9 * kPage, 60 * kPage, 1 << 24, UINT32_MAX, UINT64_MAX});
        third = input.one_of<std::uint64_t>({01600, 01666, 03600, 0600, 0, 01000, 05600, 011640}) |
                (input.below(8) == 0 ? input.take<std::uint32_t>() : 0);
        break;
      case 2:
      case 3:
        raw.number = numbers.shmat;
        first = identifier(input);
        second = address(input);
        third = input.one_of<std::uint64_t>({0, 010000, 020000, 040000, 060000, 0100000, 050000});
        break;
      case 4:
        raw.number = numbers.shmdt;
        first = address(input);
        break;
      case 5:
      case 6:
        raw.number = numbers.shmctl;
        first = identifier(input);
        second = input.one_of<std::uint64_t>({0, 0, 0, 1, 2, 3, 11, 11, 12, 13, 14, 15, 16});
        third = buffer;
        break;
      default:
        raw.abi = Abi::kI386;
        raw.number = *kI386Calls.ipc;
        first = 20 + input.below(6);
        second = identifier(input);
        third = first == ipc_subcall::kShmat ? 0 : input.below(16) | (input.below(2) << 8);
        fourth = input.one_of<std::uint64_t>({FakeCaller::kBuffer, 1});
        fifth =
            first == ipc_subcall::kShmat || first == ipc_subcall::kShmdt ? address(input) : buffer;
        break;
    }
    return raw;
  }

  std::uint64_t identifier(FuzzInput& input) {
    const std::size_t which = input.below(16);
    if (which < 12) return which < 8 ? which : 32768 * (which - 7);
    return input.take<std::uint32_t>();
  }

  /// A few pages that all meet; sometimes anything.
  static std::uint64_t address(FuzzInput& input) {
    const std::size_t which = input.below(20);
    if (which == 19) return input.take<std::uint64_t>();
    if (which > 16) return 0;
    return 0x40000000 + which * kPage + (input.below(8) == 0 ? 0x123 : 0);
  }

  void call(FuzzInput& input, FakeCaller& caller) {
    const std::size_t in = input.below(2);
    const RawCall raw = take_call(input);
    const bool delivered = input.below(8) != 0;
    registry(in).settle();
    const std::vector<Shown> before = shown();
    caller.alive = delivered;
    const std::int64_t value = answer_call(decode(raw), caller, registry(in)).value();
    caller.alive = true;
    const auto decoded = decode(raw);
    // The fake space maps at any address, those above 2^63 too.
    const bool address = decoded && decoded->operation == ShmOperation::kShmat;
    FUZZ_EXPECT(value >= 0 || address ||
                (is_error_result(value) && (value != -EINTR || !delivered)));
    if (decoded && decoded->operation == ShmOperation::kShmdt) return;  // drops what was removed
    if (is_error_result(value) || !delivered) {
      registry(in).settle();
      FUZZ_EXPECT(shown() == before || attach_may_end_one(decoded, in));
    }
  }

  /// SHM_REMAP may have been the end of a removed segment's last mapping; and with shm_rmid_forced
  /// an attach that fails ends a segment as a detach does (out_nattch of do_shmat()).
  bool attach_may_end_one(const Result<ShmCall>& decoded, std::size_t in) {
    return decoded && decoded->operation == ShmOperation::kShmat &&
           ((decoded->shmflg & abi::kShmRemap) != 0 || registry(in).rmid_forced());
  }

  void change_mappings(FuzzInput& input, FakeCaller& caller) {
    const AddressRange range{0x40000000 + input.below(16) * kPage, (1 + input.below(4)) * kPage};
    switch (input.below(5)) {
      case 0:
        (void)caller.space().unmap(range);
        break;
      case 1:
        caller.space().split(range);
        break;
      case 2:
        caller.space().map_anonymous(range);
        break;
      case 3:
        caller.space().move(range, 0x40000000 + (16 + input.below(8)) * kPage);
        break;
      default:
        caller.space().exit();
        break;
    }
  }

  void change_surroundings(FuzzInput& input, FakeCaller& caller) {
    Registry& one = registry(input.below(2));
    switch (input.below(10)) {
      case 0:
        one.set_rmid_forced(input.below(2) != 0);
        break;
      case 1:
        set_limits(one, {input.one_of<std::uint64_t>({1 << 24, 0, kPage, UINT64_MAX}),
                         input.one_of<std::uint64_t>({64, 0, 1, UINT64_MAX}),
                         input.one_of<std::uint32_t>({8, 0, 1, 32768})});
        break;
      case 2:
        one.change(SetNextId{input.one_of({-1, 0, 3, 70, 0x18005, 0x7fffffff})});
        break;
      case 3:
        host_.dead_threads.insert(caller.unique_thread);
        caller.unique_thread += 1000;
        break;
      case 4:
        namespaces_.disown(caller.thread());
        break;
      case 5:
        caller.space().map_error = input.one_of({0, 0, ENOMEM, ESRCH, EACCES});
        break;
      case 6:
        host_.create_error = Errno(input.one_of({0, 0, 0, ENOMEM, ENOSPC}));
        break;
      case 7:
        namespaces_.forget(2);
        break;
      case 8:
        caller.memlock_bytes = input.one_of<std::uint64_t>({0, kPage, 4 * kPage, UINT64_MAX});
        break;
      default:
        host_.now += 1;
        break;
    }
  }

  void check() {
    std::size_t rows = 0;
    std::size_t watched = 0;
    std::map<uid_t, std::uint64_t> locked;
    for (std::size_t i = 0; i < 2; ++i) check_registry(registry(i), rows, watched, locked);
    FUZZ_EXPECT(static_cast<std::size_t>(host_.living()) == rows);
    FUZZ_EXPECT(host_.watched.size() == watched);
    for (const uid_t uid : {1000U, 2000U}) {
      FUZZ_EXPECT(namespaces_.files().lock_accounts().pages_of(uid) == locked[uid]);
    }
  }

  void check_registry(Registry& one, std::size_t& rows, std::size_t& watched,
                      std::map<uid_t, std::uint64_t>& locked) {
    one.settle();
    std::uint64_t pages = 0;
    int last_index = -1;
    const auto rows_now = one.rows(callers_[0]->viewpoint());
    const auto& table = *rows_now;
    const Registry::ReadGuard state = one.read();
    for (const ShmTableRow& row : table) {
      const auto segment = state->find(row.id);
      FUZZ_EXPECT(segment && (*segment)->id() == row.id);
      FUZZ_EXPECT(row.id % 32768 > last_index);
      last_index = row.id % 32768;
      const bool removed = (row.ds.mode & abi::kShmDest) != 0;
      FUZZ_EXPECT(!removed || row.ds.key == 0);
      FUZZ_EXPECT(row.ds.key == 0 || state->find_key(row.ds.key) == *segment);
      FUZZ_EXPECT(!removed || row.ds.nattch != 0);
      const bool idle = one.rmid_forced() && row.ds.nattch == 0;
      const auto& creator = state->of(**segment).creator;
      FUZZ_EXPECT(!idle || (creator && host_.thread_lives(*creator)));
      pages += (*segment)->size_pages();
      watched += removed || one.rmid_forced() ? 1 : 0;
      if ((row.ds.mode & abi::kShmLocked) != 0) {
        locked[state->of(**segment).locked_by] += (*segment)->size_pages();
      }
    }
    rows += table.size();
    FUZZ_EXPECT(state->total_pages() == pages);
    FUZZ_EXPECT(state->in_use() == static_cast<int>(table.size()));
    FUZZ_EXPECT(state->max_index() == last_index);
  }

  FakeHost host_;
  Registries namespaces_;
  std::array<std::unique_ptr<FakeCaller>, kCallers> callers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  Machine machine;
  for (std::size_t step = 0; step < kMostSteps && !input.empty(); ++step) machine.step(input);
  return 0;
}
