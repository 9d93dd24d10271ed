// Text that programs and operators write: into the files of /proc/sys/kernel, and as limits.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "emulation/abi/proc_format.h"
#include "policy/limits/limits.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

/// What was written is read back as it was meant, and writing that again changes nothing.
template <typename Number, typename Write>
void check_write(std::string_view text, std::uint64_t offset, Write write) {
  const Result<SysctlWrite<Number>> done = write(text, offset);
  if (!done) {
    FUZZ_EXPECT(done.error() == Errno(EINVAL));
    FUZZ_EXPECT(offset == 0 && !text.empty());
    return;
  }
  FUZZ_EXPECT(done->taken_bytes <= text.size());
  FUZZ_EXPECT(done->ignored == (offset != 0 || text.empty()));
  if (done->ignored) {
    FUZZ_EXPECT(done->taken_bytes == text.size());
    return;
  }
  FUZZ_EXPECT(done->taken_bytes != 0);
  const std::string shown = read_sysctl(done->value, 0, 64);
  FUZZ_EXPECT(shown.ends_with('\n'));
  const Result<SysctlWrite<Number>> again = write(shown, 0);
  FUZZ_EXPECT(again && !again->ignored && again->value == done->value);
  FUZZ_EXPECT(again->taken_bytes == shown.size());
  FUZZ_EXPECT(read_sysctl(done->value, 1, 64).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const std::uint64_t offset = input.one_of<std::uint64_t>({0, 0, 0, 0, 0, 0, 1, UINT64_MAX});
  const int minimum = input.one_of({INT32_MIN, -1, 0, 1});
  const int maximum = input.one_of({INT32_MAX, 1, 32768});
  const std::string_view text = input.take_rest();
  check_write<std::uint64_t>(text, offset, write_ulong_sysctl);
  check_write<int>(text, offset, [&](std::string_view bytes, std::uint64_t at) {
    const auto done = write_int_sysctl(bytes, at, minimum, maximum);
    if (done && !done->ignored) FUZZ_EXPECT(done->value >= minimum && done->value <= maximum);
    return done;
  });
  const auto size_bytes = parse_size(text);
  if (size_bytes) {
    const auto again = parse_size(std::to_string(*size_bytes));
    FUZZ_EXPECT(again && *again == *size_bytes);
  } else {
    FUZZ_EXPECT(size_bytes.error() == Errno(EINVAL) || size_bytes.error() == Errno(ERANGE));
  }
  const auto shmmni = parse_shmmni(text);
  if (shmmni) FUZZ_EXPECT(*shmmni <= Limits::ipcmni);
  return 0;
}
