// Numbers and arguments of any call, of either ABI: decode() says what ksys_ipc() and the tables of
// system calls say, and structs are never read or written beyond their size.
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "emulation/abi/call_numbers.h"
#include "emulation/syscalls/shm_call.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

constexpr const CallNumbers& kX = kX86_64Calls;
constexpr const CallNumbers& kI = kI386Calls;
constexpr int kIpc = *kI.ipc;

/// Mostly numbers that mean something.
int take_number(FuzzInput& input, Abi abi) {
  if (input.below(8) == 0) return input.take<int>();
  return abi == Abi::kX86_64
             ? input.one_of({kX.shmget, kX.shmat, kX.shmctl, kX.shmdt, kX.unshare, kX.setns})
             : input.one_of(
                   {kIpc, kIpc, kI.shmget, kI.shmctl, kI.shmat, kI.shmdt, kI.unshare, kI.setns});
}

RawCall take_call(FuzzInput& input) {
  RawCall raw;
  raw.abi = input.one_of({Abi::kX86_64, Abi::kI386});
  raw.number = take_number(input, raw.abi);
  for (std::uint64_t& argument : raw.arguments) argument = input.take<std::uint64_t>();
  if (raw.number == kIpc && input.below(4) != 0) {
    raw.arguments[0] = 20 + input.below(6) + (std::uint64_t{input.take<std::uint8_t>()} << 16);
  }
  return raw;
}

bool fits_in_32_bits(const ShmCall& call) {
  return call.size_bytes <= UINT32_MAX && call.address <= UINT32_MAX &&
         call.result_address.value_or(0) <= UINT32_MAX;
}

void check_ipc(const RawCall& raw, const Result<ShmCall>& call) {
  const auto sub_call = static_cast<std::uint16_t>(raw.arguments[0]);
  const auto form = static_cast<std::uint16_t>(raw.arguments[0] >> 16);
  if (sub_call < 21 || sub_call > 24) {
    FUZZ_EXPECT(!call && call.error() == Errno(ENOSYS));
    return;
  }
  if (sub_call == 21 && form == 1) {
    FUZZ_EXPECT(!call && call.error() == Errno(EINVAL));
    return;
  }
  FUZZ_EXPECT(call);
  constexpr ShmOperation kOperations[] = {ShmOperation::kShmat, ShmOperation::kShmdt,
                                          ShmOperation::kShmget, ShmOperation::kShmctl};
  FUZZ_EXPECT(call->operation == kOperations[sub_call - 21]);
  FUZZ_EXPECT(call->result_address.has_value() == (call->operation == ShmOperation::kShmat));
  if (call->operation == ShmOperation::kShmctl) {
    const auto command = static_cast<std::uint32_t>(raw.arguments[2]);
    const bool new_form = (command & abi::kIpc64) != 0;
    FUZZ_EXPECT(call->version == (new_form ? IpcVersion::kIpc64 : IpcVersion::kOld));
    FUZZ_EXPECT((call->command & abi::kIpc64) == 0);
    FUZZ_EXPECT((static_cast<std::uint32_t>(call->command) | abi::kIpc64) ==
                (command | abi::kIpc64));
  }
}

void check_decoding(const RawCall& raw) {
  const Result<ShmCall> call = decode(raw);
  FUZZ_EXPECT(call || call.error() == Errno(ENOSYS) || call.error() == Errno(EINVAL));
  if (changes_namespaces(raw)) FUZZ_EXPECT(!call);
  if (may_leave_segments(raw)) FUZZ_EXPECT(changes_namespaces(raw));
  if (raw.abi == Abi::kI386 && raw.number == kIpc) {
    check_ipc(raw, call);
  } else if (call) {
    FUZZ_EXPECT(call->version == IpcVersion::kIpc64);
    FUZZ_EXPECT(!call->result_address);
  }
  if (!call) return;
  FUZZ_EXPECT(call->abi == raw.abi);
  if (raw.abi == Abi::kI386) {
    FUZZ_EXPECT(fits_in_32_bits(*call));
    // The upper halves of registers are no part of a 32-bit call.
    RawCall narrow = raw;
    for (std::uint64_t& argument : narrow.arguments) argument &= UINT32_MAX;
    const Result<ShmCall> same = decode(narrow);
    FUZZ_EXPECT(same && same->operation == call->operation && same->key == call->key &&
                same->shmid == call->shmid && same->size_bytes == call->size_bytes &&
                same->shmflg == call->shmflg && same->command == call->command &&
                same->address == call->address && same->result_address == call->result_address);
  }
}

void check_structs(FuzzInput& input) {
  const Abi abi = input.one_of({Abi::kX86_64, Abi::kI386});
  const IpcVersion version = input.one_of({IpcVersion::kOld, IpcVersion::kIpc64});
  const ShmidDs ds = input.take<ShmidDs>();
  const AbiBytes bytes = encode_shmid_ds(abi, version, ds);
  FUZZ_EXPECT(bytes.view().size() >= shmid_ds_size(abi, version));
  // What IPC_SET reads lies where IPC_STAT wrote it.
  const IpcSetRequest read_back =
      decode_ipc_set(abi, version, bytes.view().first(shmid_ds_size(abi, version)));
  if (abi == Abi::kX86_64 || version == IpcVersion::kIpc64) {
    FUZZ_EXPECT(read_back.uid == ds.uid && read_back.gid == ds.gid);
  }
  FUZZ_EXPECT((read_back.mode & 0777) == (ds.mode & 0777));
  (void)encode_shminfo(abi, version, input.take<ShmInfoLimits>());
  (void)encode_shm_info(abi, input.take<ShmInfoUsage>());
  AbiBytes anything(shmid_ds_size(abi, version));
  for (std::byte& byte : anything.writable()) byte = input.take<std::byte>();
  (void)decode_ipc_set(abi, version, anything.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  check_decoding(take_call(input));
  check_structs(input);
  return 0;
}
