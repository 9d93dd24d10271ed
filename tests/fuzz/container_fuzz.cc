// What container runtimes send and container images' authors write: never trusted.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "policy/limits/container_metadata.h"
#include "supervisor/agent/container_process.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

void check_metadata(std::string_view text) {
  const auto parsed = parse_container_metadata(text, {});
  if (!parsed) {
    FUZZ_EXPECT(!parsed.error().reason.empty());
    return;
  }
  const ContainerMetadata* const metadata = &*parsed;
  FUZZ_EXPECT(metadata->limits.shmmni <= Limits::ipcmni);
  FUZZ_EXPECT(metadata->group.size() <= 64);
  FUZZ_EXPECT(metadata->group.find('/') == std::string::npos);
  if (text.empty()) FUZZ_EXPECT(*metadata == ContainerMetadata{});
}

void check_process(std::string_view text) {
  const auto parsed = parse_container_process(text);
  if (!parsed) {
    FUZZ_EXPECT(!parsed.error().reason.empty());
    return;
  }
  FUZZ_EXPECT(parsed->pid >= 0);
  FUZZ_EXPECT(parsed->container_id.size() <= kLongestContainerId);
  check_metadata(parsed->metadata);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = FuzzInput(data, size).take_rest();
  check_metadata(text);
  check_process(text);
  const std::string shown = printable(text);
  FUZZ_EXPECT(
      std::all_of(shown.begin(), shown.end(), [](char one) { return one >= ' ' && one <= '~'; }));
  return 0;
}
