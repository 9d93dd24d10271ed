#include "supervisor/client/run_connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/peer_user.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/socket_address.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBytesAtOnce = std::size_t{64} * 1024;
/// Between looks whether a run that does not answer is stopped.
constexpr std::chrono::milliseconds kBetweenLooks(500);
/// While the run's queue of newcomers is full.
constexpr std::chrono::milliseconds kBetweenReaches(20);
constexpr const char* kStopped = "it is stopped; SIGCONT, or fg in its shell, lets it go on";

bool has_passed(const RunConnection::Deadline& deadline) {
  return deadline && Clock::now() >= *deadline;
}

std::string text_or_empty(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::uint64_t number_or_zero(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || !found->is_number_unsigned() ? 0 : found->get<std::uint64_t>();
}

/// By a signal, or a tracer. Not of pid 0, which is nobody's.
bool is_stopped_process(pid_t pid) {
  if (pid <= 0) return false;
  const auto status = TaskStatus::read(pid);
  return status && (status->state == 'T' || status->state == 't');
}

/// Whether poll(2) says when nobody reads it any more.
bool tells_of_its_reader(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 &&
         (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || ::isatty(fd) == 1);
}

}  // namespace

bool has_lost_its_reader(int output) {
  const auto events = tells_of_its_reader(output) ? events_now(output, 0) : std::nullopt;
  return events && (*events & (POLLERR | POLLHUP)) != 0;
}

std::string printable(const std::string& text) {
  std::string shown = text;
  for (char& letter : shown) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return shown;
}

std::string as_one_word(const std::string& text) {
  static constexpr std::string_view kHarmless = "+-./:@[]_";
  const auto is_harmless = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || kHarmless.find(letter) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, is_harmless)) return text;
  std::string word = "\"";
  for (const char letter : printable(text)) {
    if (letter == '"' || letter == '\\') word += '\\';
    word += letter;
  }
  return word + "\"";
}

bool RunConnection::Hello::has_our_pids() const {
  return pid_namespace == 0 || pid_namespace == NamespaceIds::ours().pid;
}

std::string RunConnection::Hello::title() const {
  const std::string number = "pid " + std::to_string(pid);
  return name.empty() ? number : name + " (" + number + ")";
}

RunConnection::RunConnection(UniqueFd socket) : socket_(std::move(socket)) {
  if (const auto peer = peer_of(socket_)) peer_ = peer->pid;
}

bool RunConnection::is_stopped() const {
  // With a keeper that is who listens, and another process serves.
  const pid_t server = hello_.has_our_pids() ? hello_.server : 0;
  return is_stopped_process(peer_) || is_stopped_process(server);
}

Problem RunConnection::not_in_time() const {
  return Problem{is_stopped() ? kStopped : "it did not answer in time"};
}

std::string RunConnection::Hello::called() const {
  return (kind == "agent" ? "the agent " : "the run ") + title();
}

Result<RunConnection, Problem> RunConnection::reach(const std::string& path) {
  const auto address = SocketAddress::of(path);
  if (!address) return Problem{std::strerror(address.error().value())};
  // Where a run is stopped and its queue is full, connect(2) would wait for it.
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid() ||
      ::connect(socket.get(), address->get(), SocketAddress::size_bytes()) != 0) {
    if (errno == EAGAIN) {
      Problem busy{"it is too busy, or stopped"};
      busy.is_busy = true;
      return busy;
    }
    return Problem{std::strerror(errno), errno == ECONNREFUSED || errno == ENOENT};
  }
  // Root has named it, or it lies in a folder that is root's alone.
  if (::geteuid() != 0 && !peer_is_root_or_ours(socket)) return Problem{"it is another user's"};
  if (::fcntl(socket.get(), F_SETFL, 0) != 0) return Problem{std::strerror(errno)};
  RunConnection run(std::move(socket));
  run.path_ = path;
  return run;
}

Result<RunConnection, Problem> RunConnection::reach_by(const std::string& path,
                                                       Clock::time_point deadline) {
  auto run = reach(path);
  while (!run && run.error().is_busy && Clock::now() < deadline) {
    std::this_thread::sleep_for(kBetweenReaches);
    run = reach(path);
  }
  return run;
}

Result<RunConnection, Problem> RunConnection::connect_to(const std::string& path) {
  const auto trouble = [&path](const Problem& why) {
    return Problem{"no run answers at " + path + ": " + why.text, why.has_ended};
  };
  auto run = reach_by(path, Clock::now() + kHelloPatience);
  if (!run) return trouble(run.error());
  if (const auto heard = run->get_hello(Clock::now() + kHelloPatience); !heard) {
    return trouble(heard.error());
  }
  return run;
}

Result<RunConnection, Problem> RunConnection::over(UniqueFd socket) {
  RunConnection run(std::move(socket));
  if (auto heard = run.get_hello(Clock::now() + kHelloPatience); !heard) return heard.error();
  return run;
}

Result<void, Problem> RunConnection::get_hello(const Deadline& deadline) {
  const auto line = next_line(deadline);
  if (!line) return line.error();
  if (const auto error = line->find("error"); error != line->end()) {
    return Problem{printable(text_or_empty(*error, "message"))};
  }
  const auto hello = line->find("hello");
  if (hello == line->end() || number_or_zero(*hello, "protocol") == 0) {
    return Problem{"it is no control socket of shmvisor"};
  }
  if (number_or_zero(*hello, "protocol") != control::kProtocolVersion) {
    return Problem{"it speaks version " + std::to_string(number_or_zero(*hello, "protocol")) +
                   " of the control protocol, and this program version " +
                   std::to_string(control::kProtocolVersion)};
  }
  hello_ = {printable(text_or_empty(*hello, "version")),
            printable(text_or_empty(*hello, "kind")),
            printable(text_or_empty(*hello, "name")),
            static_cast<pid_t>(number_or_zero(*hello, "pid")),
            number_or_zero(*hello, "pid_namespace"),
            static_cast<pid_t>(number_or_zero(*hello, "server")),
            hello->value("lists_all_segments", Json()) == true,
            number_or_zero(*hello, "upgrades"),
            number_or_zero(*hello, "refused_upgrades")};
  return {};
}

Result<void, Problem> RunConnection::send_all(const std::string& text) {
  Clock::time_point until = Clock::now() + kSendPatience;
  if (deadline_) until = std::min(until, *deadline_);
  std::size_t sent_bytes = 0;
  while (sent_bytes < text.size()) {
    const ssize_t sent = ::send(socket_.get(), text.data() + sent_bytes, text.size() - sent_bytes,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      sent_bytes += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      const auto left = until - Clock::now();
      if (left <= Clock::duration(0)) {
        return Problem{is_stopped() ? kStopped : "it takes no requests"};
      }
      pollfd file{socket_.get(), POLLOUT, 0};
      if (poll_files({&file, 1}, left) < 0 && errno != EINTR) {
        return Problem{std::string("cannot wait for it: ") + std::strerror(errno)};
      }
    } else if (errno != EINTR) {
      return Problem{std::string("it is gone: ") + std::strerror(errno), true};
    }
  }
  return {};
}

Result<RunConnection::Heard, Problem> RunConnection::receive(const Deadline& deadline, int output) {
  if (input_.size() >= control::kMostReplyBytes) return Problem{"a line of it is too long"};
  for (;;) {
    std::optional<std::chrono::nanoseconds> left;
    if (deadline)
      left = std::max<std::chrono::nanoseconds>(*deadline - Clock::now(), Clock::duration(0));
    std::array<pollfd, 2> files = {{{socket_.get(), POLLIN, 0}, {output, 0, 0}}};
    const int ready = poll_files({files.data(), output < 0 ? 1U : 2U}, left);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Problem{std::string("cannot wait for it: ") + std::strerror(errno)};
    // What came before the deadline is looked at after it too.
    if (ready == 0 && deadline && has_passed(deadline)) return Heard::kNothing;
    if ((files[1].revents & (POLLERR | POLLHUP)) != 0) return Heard::kEnd;
    if (files[0].revents == 0) continue;
    std::array<char, kBytesAtOnce> buffer;  // NOLINT: filled by recv
    int flags = 0;
    const ssize_t got = receive_some(socket_.get(), std::as_writable_bytes(std::span(buffer)),
                                     flags, [this](UniqueFd file) { file_ = std::move(file); });
    if (got > 0) input_.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0 ? Heard::kMore : Heard::kEnd;
  }
}

Result<Json, Problem> RunConnection::take_line() {
  const std::size_t end = input_.find('\n');
  Json line = Json::parse(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(end),
                          nullptr, /*allow_exceptions=*/false);
  input_.erase(0, end + 1);
  if (!line.is_object()) return Problem{"it sent a line that is no JSON object"};
  return line;
}

Result<Json, Problem> RunConnection::next_line(const Deadline& deadline) {
  // What came before the deadline is looked at after it too, which is one reply at most; the end
  // of what keeps coming is not waited for.
  constexpr std::size_t kMostLateReads = control::kMostReplyBytes / kBytesAtOnce;
  std::size_t late_reads = 0;
  auto last_seen_running = Clock::now();
  while (!has_line()) {
    if (has_passed(deadline) && ++late_reads > kMostLateReads) return not_in_time();
    const auto next_look = Clock::now() + kBetweenLooks;
    const auto heard = receive(deadline ? std::min(*deadline, next_look) : next_look);
    if (!heard) return heard.error();
    if (*heard == Heard::kEnd) return Problem{"it has ended", true};
    if (*heard == Heard::kMore) continue;
    if (has_passed(deadline)) return not_in_time();
    if (!is_stopped()) {
      last_seen_running = Clock::now();
    } else if (!deadline_ && Clock::now() - last_seen_running >= kStoppedPatience) {
      return not_in_time();
    }
  }
  return take_line();
}

Result<std::optional<Json>, Problem> RunConnection::next(int output) {
  while (!has_line()) {
    const auto heard = receive(std::nullopt, tells_of_its_reader(output) ? output : -1);
    if (!heard) return heard.error();
    if (*heard == Heard::kEnd) return std::optional<Json>();
  }
  auto line = take_line();
  if (!line) return line.error();
  return std::optional<Json>(std::move(*line));
}

Result<Json, Problem> RunConnection::ask(const Json& request) {
  const auto trouble = [this](const Problem& why) {
    has_failed_ = true;
    return Problem{hello_.called() + ": " + why.text, why.has_ended};
  };
  // Also where answers to this came already, before it was asked.
  if (has_passed(deadline_)) return trouble(not_in_time());
  if (const auto sent = send_all(control::to_line(request)); !sent) return trouble(sent.error());
  auto reply = next_line(deadline_ ? deadline_ : Clock::now() + kPatience);
  if (!reply) return trouble(reply.error());
  const auto error = reply->find("error");
  if (error == reply->end()) return reply;
  Problem refusal{hello_.called() + ": " + printable(text_or_empty(*error, "message"))};
  refusal.refused = true;
  refusal.code = text_or_empty(*error, "code");
  return refusal;
}

}  // namespace shmvisor::client
