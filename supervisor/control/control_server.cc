#include "supervisor/control/control_server.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include "supervisor/audit/process_audit.h"
#include "supervisor/control/act_line.h"
#include "supervisor/control/audited_request.h"
#include "supervisor/control/control_request.h"
#include "supervisor/control/hello_line.h"
#include "supervisor/control/protocol.h"
#include "supervisor/kernel/peer_user.h"
#include "supervisor/loop/accept_pause.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// Of newcomers; the loop has other things to do.
constexpr int kMostGreetedInATurn = 8;
/// Of clients that may go meanwhile.
constexpr std::chrono::milliseconds kBeforeRoom(10);
/// Besides the clients: the socket, a newcomer that is refused, what tells of an answer, of a
/// detach and of a call, and a descriptor that goes with an answer.
constexpr std::int64_t kOwnDescriptors = 6;
/// A few of very few are left to segments.
constexpr std::int64_t kLeastPool = 64;

std::int64_t descriptors_for_clients(const DescriptorPool& pool) {
  constexpr auto kAll = static_cast<std::int64_t>(ControlServer::kMostClients) + kOwnDescriptors;
  const std::int64_t left = std::max<std::int64_t>(pool.left(), 0);
  return left < kLeastPool ? std::min<std::int64_t>(left, kOwnDescriptors + 1) : kAll;
}

/// Instead of the hello.
void send_away(StrangersFile socket, const control::Refusal& refusal) {
  ControlConnection connection(std::move(socket));
  connection.add(refusal.line());
  (void)connection.flush();
}

}  // namespace

std::string ControlServer::hello(std::uint32_t refused_upgrades) const {
  return hello_line(identity_.kind, identity_.name, identity_.pid, refused_upgrades);
}

ControlServer::ControlServer(EventLoop& loop, SessionResources& resources, const Identity& identity,
                             const KnownSessions& sessions, std::chrono::milliseconds patience)
    : loop_(loop),
      descriptors_(resources.descriptors),
      tally_(resources.tally),
      patience_(patience),
      identity_(identity),
      hello_(hello(0)),
      answers_(loop, sessions, std::bind_front(&ControlServer::deliver, this),
               std::bind_front(&ControlServer::tell, this)),
      detaches_(loop, sessions, std::bind_front(&ControlServer::deliver, this),
                std::bind_front(&ControlServer::tell, this)),
      feed_(loop, resources.calls, sessions,
            [this](const std::vector<std::string>& lines, std::uint64_t lost) {
              deliver_lines(lines, lost);
            }) {
  descriptors_.add(descriptors_for_clients(resources.descriptors));
  resources.tally.begin();
}

void ControlServer::listen(ControlSocket socket) {
  socket_.emplace(std::move(socket));
  newcomers_ = loop_.watch(socket_->fd(), POLLIN, [this](short) { accept_some(); });
}

ControlServer::~ControlServer() = default;

void ControlServer::accept_some() {
  for (int greeted = 0; greeted < kMostGreetedInATurn; ++greeted) {
    const Room room = room_for_newcomer();
    if (room == Room::kSoon) return newcomers_.pause_until(Clock::now() + kBeforeRoom);
    auto connection = socket_->accept();
    if (!connection) {
      (void)paused_after_accept(connection.error(), newcomers_);
      return;
    }
    if (peer_is_root_or_ours(connection->fd())) {
      greet(std::move(*connection), room);
    } else {
      const auto peer = peer_of(connection->fd());
      audit(peer ? peer->uid : AuditLog::kNobody, [&] {
        AuditRecord record("client");
        if (peer) add_client(record, *peer);
        return std::move(record.add("result", "not-permitted"));
      });
      send_away(std::move(*connection), {"not-permitted", "it serves root and its own user alone"});
    }
  }
}

void ControlServer::greet(StrangersFile socket, Room room) {
  if (room == Room::kNone) {
    send_away(std::move(socket),
              {"too-many-clients", "as many clients as may be wait for its answers, or follow"});
    return;
  }
  if (clients_.size() >= kMostClients) drop(least_busy());
  take_in(std::move(socket), /*follows=*/false);
}

ControlServer::Clients::iterator ControlServer::least_busy() {
  return std::ranges::min_element(clients_, {}, [](const Client& client) {
    return std::tuple(client.follows, client.waits_for_answer, client.heard_at);
  });
}

ControlServer::Room ControlServer::room_for_newcomer() {
  if (clients_.size() < kMostClients) return Room::kThere;
  const auto least = least_busy();
  if (least->follows) return Room::kNone;
  if (Clock::now() - least->heard_at < kLeastSilence) return Room::kSoon;
  return least->waits_for_answer ? Room::kNone : Room::kThere;
}

void ControlServer::see(Clients::iterator client, short events) {
  const bool gone = (events & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  if ((events & POLLIN) != 0) client->connection.read();
  // Nobody would take it, and reading it on and on would keep the loop busy.
  const auto talks = [&client] { return client->follows && client->connection.has_input(); };
  const bool ended = gone && (events & POLLIN) == 0;
  if (ended || talks() || !hear(*client) || talks() || !go_on(client)) drop(client);
}

bool ControlServer::hear(Client& client) {
  if (client.waits_for_answer || client.refused || client.follows) return true;
  const auto line = client.connection.take_line();
  if (line) {
    client.heard_at = Clock::now();
    auto request = parse_control_request(*line);
    if (request && std::holds_alternative<FollowCalls>(*request)) {
      begin_following(client);
      return true;
    }
    std::optional<AuditRecord> act;
    if (request && (process_audit() != nullptr || is_followed())) {
      act = act_of(*request, client.peer, *client.load);
    }
    if (request && std::holds_alternative<Reload>(*request) && reloader_ != nullptr) {
      client.waits_for_answer = true;
      client.waits_for_reading = reloader_->ask();
      if (act) act = reload_acts_.add(client.waits_for_reading, std::move(*act));
      if (act) tell(*act);
      return true;
    }
    if (request && upgrade_desk_ != nullptr && std::holds_alternative<Upgrade>(*request)) {
      ask_for_upgrade(client, std::get<Upgrade>(*request), std::move(act));
      return true;
    }
    if (request) {
      AnswerQueue& queue = queue_for(*request);
      if (&queue == &detaches_ && detaches_.waiting() == kMostWaitingDetaches) {
        client.connection.add(
            control::Refusal{"too-many-clients", "as many wait for a detach as may be"}.line());
        client.refused = true;
        return true;
      }
      client.waits_for_answer = true;
      queue.add(client.number, std::move(*request), client.load, std::move(act));
      return true;
    }
    // Who sends what is no request may send anything behind it.
    client.connection.add(request.error().line());
    client.refused = true;
    return true;
  }
  if (!client.connection.no_line_comes()) {
    return !client.connection.sender_ended() || client.connection.has_output();
  }
  const std::string sentence =
      "a request is one line of less than " + std::to_string(control::kMostRequestBytes) + " bytes";
  const bool is_cut = client.connection.sender_ended();
  client.connection.add((is_cut ? control::Refusal{"bad-request", sentence + ", with a newline"}
                                : control::Refusal{"too-long", sentence})
                            .line());
  client.refused = true;
  return true;
}

void ControlServer::deliver(AnswerQueue::ClientNumber number, ControlAnswer answer) {
  const auto client = std::ranges::find(clients_, number, &Client::number);
  if (client != clients_.end()) deliver_to(client, std::move(answer));  // or it did not wait
}

void ControlServer::deliver_to(Clients::iterator client, ControlAnswer answer) {
  client->waits_for_answer = false;
  client->waits_for_reading = 0;
  client->waits_for_upgrade = false;
  ControlConnection& connection = client->connection;
  // Descriptors do not wait here for clients that do not read.
  const bool fits =
      connection.room_for(answer.line.size()) && !(answer.file.valid() && connection.has_output());
  try {
    if (fits) {
      connection.add(answer.line, std::move(answer.file));
      if (hear(*client) && go_on(client) && !connection.has_file()) return;
    }
  } catch (const std::bad_alloc&) {  // it would wait for ever
  }
  drop(client);
}

bool ControlServer::go_on(Clients::iterator client) {
  if (!client->connection.flush()) return false;
  const bool has_output = client->connection.has_output();
  if (client->refused && !has_output) return false;
  const bool listens =
      !client->waits_for_answer && !client->refused && !client->connection.sender_ended();
  const bool waits = client->waits_for_answer || client->follows;
  if (!listens && !has_output && !waits) return false;
  watch(client, static_cast<short>((listens ? POLLIN : 0) | (has_output ? POLLOUT : 0)));
  return true;
}

void ControlServer::watch(Clients::iterator client, short events) {
  // A client has its time anew when it asked something, got its answer or took some of that.
  const std::size_t taken = client->connection.taken_bytes();
  if (events != client->watched_events || taken != client->taken_bytes) {
    const bool waits = client->waits_for_answer || client->follows;
    if (waits && !client->connection.has_output()) {
      client->late.cancel();
    } else {
      client->late.set(Clock::now() + patience_);
    }
  }
  client->taken_bytes = taken;
  if (events == client->watched_events) return;
  client->watched_events = events;
  client->watched = loop_.watch(client->connection.fd(), events,
                                [this, client](short ready) { see(client, ready); });
}

AnswerQueue& ControlServer::queue_for(const ControlRequest& request) {
  return std::holds_alternative<DetachSegment>(request) ? detaches_ : answers_;
}

void ControlServer::forget(const Client& client) {
  answers_.forget(client.number);
  detaches_.forget(client.number);
}

void ControlServer::drop(Clients::iterator client) {
  forget(*client);
  // The callback that is running belongs to the client: the loop keeps it until it returns.
  clients_.erase(client);
  look_for_followers();
}

void ControlServer::begin_following(Client& client) {
  const auto followers = std::ranges::count_if(clients_, &Client::follows);
  if (static_cast<std::size_t>(followers) >= kMostFollowers) {
    client.connection.add(
        control::Refusal{"too-many-clients", "as many clients as may follow its calls already"}
            .line());
    client.refused = true;
    return;
  }
  client.follows = true;
  client.connection.add(control::to_line({{"reply", "follow"}}));
  feed_.follow(true);
}

bool ControlServer::is_followed() const { return std::ranges::any_of(clients_, &Client::follows); }

void ControlServer::look_for_followers() {
  if (!is_followed()) feed_.follow(false);
}

ControlServer::Clients::iterator ControlServer::enter(Clients& newcomer) {
  const auto at = newcomer.begin();
  at->late = loop_.timer([this, at] { drop(at); });
  at->connection.add(hello_);
  clients_.splice(clients_.end(), newcomer);
  return at;
}

void ControlServer::take_in(StrangersFile socket, bool follows) {
  Clients newcomer;
  newcomer.emplace_back(++last_number_, std::move(socket));
  const auto at = enter(newcomer);
  if (follows) begin_following(*at);
  if (!go_on(at)) drop(at);
}

void ControlServer::drop_all() {
  for (const Client& client : clients_) forget(client);
  clients_.clear();
  look_for_followers();
}

bool ControlServer::serve_the_rest(std::chrono::milliseconds bound) {
  newcomers_.reset();
  (void)loop_.run_while([this] { return !clients_.empty(); }, Clock::now() + bound);
  return clients_.empty();
}

void ControlServer::deliver_lines(const std::vector<std::string>& lines, std::uint64_t lost) {
  for (auto next = clients_.begin(); next != clients_.end();) {
    const auto client = next++;
    if (!client->follows) continue;
    tally_.note_lost(client->queue_lines(lines, lost));
    if (!go_on(client)) drop(client);
  }
}

void ControlServer::tell(const AuditRecord& act) noexcept {
  try {
    audit(AuditLog::kNobody, [&act] { return act; });
    if (is_followed()) deliver_lines({act_line(act)}, 0);
  } catch (const std::bad_alloc&) {  // whoever asked is to have the answer all the same
  }
}

void ControlServer::finish_following(std::chrono::milliseconds bound) {
  const auto deadline = Clock::now() + bound;
  feed_.drain();
  deliver_lines({}, 0);  // what was lost at the end
  const auto is_behind = [](const Client& client) {
    return client.follows && client.connection.has_output();
  };
  (void)loop_.run_while([&] { return std::ranges::any_of(clients_, is_behind); }, deadline);
}

void ControlServer::accept_no_more() {
  newcomers_.reset();
  if (socket_) socket_->remove();
}

bool ControlServer::drain(std::chrono::milliseconds bound) {
  accept_no_more();
  give_up_reloads();
  drop_all();
  const bool answers_ended = answers_.wait_for_end(bound / 2);
  return detaches_.wait_for_end(bound / 2) && answers_ended;
}

}  // namespace shmvisor
