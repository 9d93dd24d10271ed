// What comes over a connection of a container runtime, in pieces, with descriptors or without: a
// message is complete only with a seccomp listener, and every descriptor that came is closed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "supervisor/agent/container_process.h"
#include "supervisor/agent/runtime_connection.h"
#include "supervisor/resources/last_closes.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;
using Progress = RuntimeConnection::Progress;

constexpr std::string_view kMessage =
    R"({"ociVersion":"1.0.2","fds":["seccompFd"],"pid":7,"metadata":"group=g","state":)"
    R"({"ociVersion":"1.0.2","id":"c","status":"creating","pid":7,"bundle":"/b"}})";

/// The next piece: of a message as it should be, or of whatever the fuzzer made up.
std::string piece(FuzzInput& input, std::string_view& rest) {
  const std::size_t length = input.below(256);
  if (input.below(4) != 0) {
    const std::string taken(rest.substr(0, length));
    rest.remove_prefix(taken.size());
    return taken;
  }
  std::string made(length, ' ');
  const std::string_view letters = R"({}[]"\:,1 x)";
  std::generate(made.begin(), made.end(), [&] { return letters[input.below(letters.size())]; });
  return made;
}

void converse(FuzzInput& input, int file) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  UniqueFd runtime(ends[0]);
  RuntimeConnection connection(StrangersFile::of(UniqueFd(ends[1])));
  std::string_view rest = kMessage;
  Progress progress = Progress::kMore;
  bool sent = false;
  for (int pieces = 0; pieces < 20 && progress == Progress::kMore; ++pieces) {
    const std::size_t kind = input.below(8);
    if (kind == 0 || input.empty()) {
      runtime.reset();
    } else {
      const std::string bytes = piece(input, rest);
      const std::vector<int> fds(kind == 1 ? input.below(9) : 0, file);
      send_anyhow(runtime.get(), std::as_bytes(std::span(bytes)), fds);
      sent |= !bytes.empty();
    }
    progress = connection.read();
    FUZZ_EXPECT(connection.text().size() <= RuntimeConnection::kMostBytes);
    FUZZ_EXPECT(runtime.valid() || progress != Progress::kMore);
  }
  // No descriptor that is sent here is a listener.
  FUZZ_EXPECT(progress != Progress::kComplete);
  FUZZ_EXPECT(progress != Progress::kNothing || !sent);
  FUZZ_EXPECT((progress == Progress::kRefused) != connection.reason().empty());
  (void)parse_container_process(connection.text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  FuzzInput input(data, size);
  const int before = count_descriptors();
  converse(input, file);
  // A connection in which something waits is closed elsewhere.
  FUZZ_EXPECT(LastCloses::all().wait_until_taken(std::chrono::seconds(10)));
  FUZZ_EXPECT(count_descriptors() == before);
  return 0;
}
