// What comes over a connection to a control socket, in pieces: a line is taken only if it is whole,
// what is no request is refused with one line of JSON, and nothing grows beyond its bounds.
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "supervisor/control/control_connection.h"
#include "supervisor/control/control_request.h"
#include "supervisor/resources/last_closes.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

constexpr std::string_view kRequests =
    "{\"request\":\"segments\",\"registry\":\"main\",\"from\":7}\n{\"request\":\"registries\"}\n"
    "{\"request\":\"processes\"}\n";

/// The next piece: of requests as they should be, or of whatever the fuzzer made up.
std::string piece(FuzzInput& input, std::string_view& rest) {
  const std::size_t length = input.below(200);
  if (input.below(4) != 0 && !rest.empty()) {
    const std::string taken(rest.substr(0, length));
    rest.remove_prefix(taken.size());
    return taken;
  }
  std::string made(length, ' ');
  const std::string_view letters("{}[]\"\\:,1-.eu x\n\0\xff", 18);
  std::generate(made.begin(), made.end(), [&] { return letters[input.below(letters.size())]; });
  return made;
}

void hear(ControlConnection& connection, std::size_t& refused) {
  while (const auto line = connection.take_line()) {
    FUZZ_EXPECT(line->size() < control::kMostRequestBytes);
    FUZZ_EXPECT(line->find('\n') == std::string::npos);
    const auto request = parse_control_request(*line);
    if (request) continue;
    ++refused;
    const std::string answer = request.error().line();
    FUZZ_EXPECT(answer.find('\n') == answer.size() - 1);
    FUZZ_EXPECT(control::Json::accept(answer));
    if (connection.room_for(answer.size())) connection.add(answer);
  }
}

void converse(FuzzInput& input) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  UniqueFd client(ends[0]);
  ControlConnection connection(StrangersFile::of(UniqueFd(ends[1])));
  std::string_view rest = kRequests;
  std::size_t refused = 0;
  for (int pieces = 0; pieces < 60 && client.valid(); ++pieces) {
    if (input.below(16) == 0 || input.empty()) {
      client.reset();
    } else {
      const std::string bytes = piece(input, rest);
      (void)::send(client.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    connection.read();
    if (input.below(3) != 0) hear(connection, refused);
    if (input.below(3) == 0) (void)connection.flush();
    if (connection.no_line_comes()) break;
  }
  hear(connection, refused);
  FUZZ_EXPECT(refused != 0 || !connection.has_output());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const int before = count_descriptors();
  converse(input);
  // A connection in which something waits is closed elsewhere.
  FUZZ_EXPECT(LastCloses::all().wait_until_taken(std::chrono::seconds(10)));
  FUZZ_EXPECT(count_descriptors() == before);
  return 0;
}
