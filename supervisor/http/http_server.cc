#include "supervisor/http/http_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "supervisor/loop/accept_pause.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;
using State = HttpClient::State;

/// Of newcomers; the loop has other things to do.
constexpr int kMostGreetedInATurn = 16;

const char* reason_of(int status) { return ::http_status_str(static_cast<http_status>(status)); }

HttpAnswer plain(int status) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::string(reason_of(status)) + "\n";
  if (status == HTTP_STATUS_METHOD_NOT_ALLOWED) answer.fields.emplace_back("Allow", "GET, HEAD");
  return answer;
}

/// Whom a newcomer may take the place of first: not of those who are being answered, while others
/// have asked nothing.
int place_of(State state) {
  switch (state) {
    case State::kSends:
    case State::kLingers:
      return 0;
    case State::kTakes:
      return 1;
    case State::kWaits:
      return 2;
    case State::kFollows:
      break;
  }
  return 3;
}

std::string event_text(const std::string& name, const std::string& data) {
  return "event: " + name + "\ndata: " + data + "\n\n";
}

}  // namespace

HttpServer::HttpServer(EventLoop& loop, ListeningPlace place, Handler handler,
                       std::vector<std::pair<std::string, std::string>> fields,
                       std::chrono::milliseconds patience)
    : loop_(loop),
      place_(std::move(place)),
      handler_(std::move(handler)),
      fields_(std::move(fields)),
      patience_(patience),
      newcomers_(loop.watch(place_.fd(), POLLIN, [this](short) { accept_some(); })) {}

void HttpServer::accept_some() {
  for (int greeted = 0; greeted < kMostGreetedInATurn; ++greeted) {
    auto connection = StrangersFile::accept(place_.socket());
    if (!connection) {
      (void)paused_after_accept(connection.error(), newcomers_);
      return;
    }
    take_in(std::move(*connection));
  }
}

void HttpServer::take_in(StrangersFile socket) {
  if (clients_.size() >= kMostClients) make_room();
  Clients newcomer;
  newcomer.emplace_back(++last_number_, std::move(socket));
  const auto client = newcomer.begin();
  client->late = loop_.timer([this, client] { drop(client); });
  clients_.splice(clients_.end(), newcomer);
  watch(client);
}

void HttpServer::make_room() {
  const auto oldest =
      std::min_element(clients_.begin(), clients_.end(), [](const auto& one, const auto& other) {
        return std::pair(place_of(one.state), one.since) <
               std::pair(place_of(other.state), other.since);
      });
  drop(oldest);
}

void HttpServer::see(Clients::iterator client, short events) {
  // Both directions are closed, or the connection has failed.
  if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0) return drop(client);
  if ((events & POLLIN) != 0) {
    if (!client->read()) return drop(client);
    if (client->state == State::kSends && client->reader.done()) return hear(client);
    const bool has_more_to_do = client->state == State::kWaits || client->state == State::kTakes;
    if (client->sender_ended && !has_more_to_do) return drop(client);
  }
  if (!go_on(client)) drop(client);
}

void HttpServer::hear(Clients::iterator client) {
  client->state = State::kWaits;
  client->since = Clock::now();
  client->late.cancel();
  watch(client);
  const ClientNumber number = client->number;
  if (client->reader.refusal() != 0) {
    answer(number, plain(client->reader.refusal()));
  } else {
    // The handler may drop the client by its answer.
    handler_(number, HttpRequest(client->reader.request()));
  }
}

std::string HttpServer::head_of(const HttpAnswer& answer) const {
  std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " " + reason_of(answer.status) +
                     "\r\nConnection: close\r\nContent-Type: " + answer.content_type + "\r\n";
  for (const auto* const fields : {&fields_, &answer.fields}) {
    for (const auto& [name, value] : *fields) head += name + ": " + value + "\r\n";
  }
  return head;
}

void HttpServer::answer(ClientNumber number, const HttpAnswer& answer) {
  const auto client = find(number);
  if (client == clients_.end() || client->state != State::kWaits) return;
  client->state = State::kTakes;
  const bool head_alone = client->reader.refusal() == 0 && client->reader.request().head;
  push(client, head_of(answer) + "Content-Length: " + std::to_string(answer.body.size()) +
                   "\r\n\r\n" + (head_alone ? "" : answer.body));
}

bool HttpServer::begin_stream(ClientNumber number) {
  const auto client = find(number);
  if (client == clients_.end() || client->state != State::kWaits) return false;
  if (streams() >= kMostStreams || client->reader.request().head) {
    answer(number, plain(HTTP_STATUS_SERVICE_UNAVAILABLE));
    return false;
  }
  client->state = State::kFollows;
  HttpAnswer stream;
  stream.content_type = "text/event-stream";
  stream.fields.emplace_back("Cache-Control", "no-store");
  push(client, head_of(stream) + "\r\n");
  return find(number) != clients_.end();
}

void HttpServer::send_event(const std::string& name, const std::string& data) {
  const std::string text = event_text(name, data);
  for (auto next = clients_.begin(); next != clients_.end();) {
    const auto client = next++;
    if (client->state == State::kFollows) push(client, text);
  }
}

void HttpServer::send_event_to(ClientNumber number, const std::string& name,
                               const std::string& data) {
  const auto client = find(number);
  if (client == clients_.end() || client->state != State::kFollows) return;
  push(client, event_text(name, data));
}

void HttpServer::push(Clients::iterator client, const std::string& text) {
  client->add(text);
  const bool is_behind =
      client->state == State::kFollows && client->queued_bytes() > kMostQueuedOfAStream;
  if (is_behind || !go_on(client)) drop(client);
}

bool HttpServer::go_on(Clients::iterator client) {
  if (!client->flush()) return false;
  if (client->state == State::kTakes && client->queued_bytes() == 0) {
    // Closed with bytes of the client's unread, the connection would be reset, and the client might
    // not get what was sent.
    if (client->sender_ended || ::shutdown(client->socket.get(), SHUT_WR) != 0) return false;
    client->state = State::kLingers;
    client->since = Clock::now();
  }
  watch(client);
  return true;
}

void HttpServer::watch(Clients::iterator client) {
  const bool has_output = client->queued_bytes() != 0;
  // A stream that has nothing to take may be silent; so may who waits for us.
  const bool is_ours =
      client->state == State::kWaits || (client->state == State::kFollows && !has_output);
  if (is_ours) {
    client->late.cancel();
  } else {
    client->late.set(client->since + patience_);
  }
  const auto events =
      static_cast<short>((client->sender_ended ? 0 : POLLIN) | (has_output ? POLLOUT : 0));
  if (events == client->watched_events) return;
  client->watched_events = events;
  client->watched = loop_.watch(client->socket.get(), events,
                                [this, client](short ready) { see(client, ready); });
}

void HttpServer::drop(Clients::iterator client) {
  const bool followed = client->state == State::kFollows;
  // The callback that is running belongs to the client: the loop keeps it until it returns.
  clients_.erase(client);
  if (followed && left_) left_();
}

HttpServer::Clients::iterator HttpServer::find(ClientNumber number) {
  return std::find_if(clients_.begin(), clients_.end(),
                      [number](const HttpClient& client) { return client.number == number; });
}

std::size_t HttpServer::streams() const {
  return static_cast<std::size_t>(
      std::count_if(clients_.begin(), clients_.end(),
                    [](const HttpClient& client) { return client.state == State::kFollows; }));
}

}  // namespace shmvisor
