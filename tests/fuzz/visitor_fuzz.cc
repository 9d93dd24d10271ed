// Visitors at the socket of `run --serve`, who say anything, with any descriptors, and leave at any
// time: each gets a greeting, nobody is taken in without a seccomp listener, and nothing is kept.
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/join/joined_commands.h"
#include "supervisor/kernel/socket_address.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

/// What `run --serve` has.
struct Serving {
  explicit Serving(const std::string& path)
      : joined(loop, *JoinSocket::listen_at(path),
               Session::of_command(std::make_shared<SessionResources>(features), Limits())) {}

  void turn() { FUZZ_EXPECT(loop.turn(EventLoop::Clock::now())); }

  EventLoop loop;
  KernelFeatures features;
  JoinedCommands joined;
};

class Visitor {
 public:
  explicit Visitor(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const auto address = SocketAddress::of(path);
    FUZZ_EXPECT(::connect(fd_.get(), address->get(), SocketAddress::size_bytes()) == 0);
  }

  void say(FuzzInput& input, int file, int device) {
    const join::Request request;
    std::array<std::byte, sizeof(request) + 64> bytes{};
    std::memcpy(bytes.data(), &request, sizeof(request));
    // Its first words are right most often; nothing behind them need be.
    for (std::size_t place = request.words.size(); place < sizeof(request); ++place) {
      bytes[place] = std::byte{input.take<std::uint8_t>()};
    }
    for (std::size_t changes = input.below(4); changes != 0; --changes) {
      bytes[input.below(sizeof(request))] = std::byte{input.take<std::uint8_t>()};
    }
    const std::size_t length =
        input.below(4) == 0 ? input.below(sizeof(request) + 64) : sizeof(request);
    std::vector<int> fds;
    for (std::size_t count = input.below(6); count != 0; --count) {
      fds.push_back(input.below(2) == 0 ? file : device);
    }
    send_anyhow(fd_.get(), std::span(bytes).first(length), fds);
  }

  /// Whatever came is what may come.
  void listen() {
    for (;;) {
      std::array<std::byte, 1024> bytes;  // NOLINT: filled by recv
      const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return;
      if (!greeted_) {
        FUZZ_EXPECT(got == sizeof(join::Greeting));
        greeted_ = true;
        continue;
      }
      join::Answer answer;
      FUZZ_EXPECT(got == sizeof(answer));
      std::memcpy(&answer, bytes.data(), sizeof(answer));
      FUZZ_EXPECT(!answer.accepted);
      FUZZ_EXPECT(answer.reason.front() != '\0' && answer.reason.back() == '\0');
    }
  }

 private:
  UniqueFd fd_;
  bool greeted_ = false;
};

std::string new_path() {
  std::string folder = "/tmp/visitor_fuzz.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  static std::string kept;
  kept = folder;
  std::atexit([] {
    (void)::unlink((kept + "/socket").c_str());
    (void)::rmdir(kept.c_str());
  });
  return folder + "/socket";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = new_path();
  static Serving& serving = *new Serving(path);
  static const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  static const int memory =
      static_cast<int>(::memfd_create("anon_inode:seccomp notify", MFD_CLOEXEC));
  static const bool quiet = (spdlog::set_level(spdlog::level::off), true);
  const int before = count_descriptors();
  FUZZ_EXPECT(quiet && memory >= 0);
  FuzzInput input(data, size);
  {
    std::vector<Visitor> visitors;
    for (int steps = 0; steps < 40 && !input.empty(); ++steps) {
      const std::size_t kind = input.below(8);
      if (visitors.empty() || (kind == 0 && visitors.size() < 40)) {
        visitors.emplace_back(path);
      } else if (kind < 4) {
        visitors[input.below(visitors.size())].say(input, file, memory);
      } else if (kind == 4) {
        visitors.erase(visitors.begin() +
                       static_cast<std::ptrdiff_t>(input.below(visitors.size())));
      } else {
        serving.turn();
        for (Visitor& visitor : visitors) visitor.listen();
      }
    }
  }
  // Each visitor is heard by a thread of its own, and forgotten in a turn after that. Those that
  // the listening socket still holds are taken in by the next turns.
  constexpr int kTurnsAtRest = 8;
  int at_rest = 0;
  for (int waits = 0; waits < 8000 && at_rest < kTurnsAtRest; ++waits) {
    serving.turn();
    at_rest = serving.joined.all_gone() && count_descriptors() == before ? at_rest + 1 : 0;
    if (at_rest == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FUZZ_EXPECT(serving.joined.all_gone());
  FUZZ_EXPECT(count_descriptors() == before);
  return 0;
}
