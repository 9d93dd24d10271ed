// HttpServer: answers requests of HTTP/1.1 at one listening socket, in an event loop. One request
// for each connection.
//
// Clients may be hostile: what one sends and has not taken is bounded, and so is the time for which
// it may send nothing, or take nothing: kPatience. Where kMostClients are connected, a newcomer
// takes the place of the one that has been silent for longest:
// first of those that have asked nothing, last of streams. A client that follows
// a stream and does not keep up is dropped.
//
// The handler may answer at once, or later by the client's number. Nothing is answered to a client
// that is gone. Source: RFC 9110, RFC 9112; streams are those of the HTML standard, "Server-sent
// events".
//
// Ownership: borrows the loop. Thread rule: the loop's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "supervisor/http/http_client.h"
#include "supervisor/http/http_request.h"
#include "supervisor/http/listening_place.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class HttpServer {
 public:
  static constexpr std::size_t kMostClients = 64;
  static constexpr std::size_t kMostStreams = 16;
  static constexpr std::size_t kMostQueuedOfAStream = std::size_t{4} << 20;
  static constexpr std::chrono::seconds kPatience{10};

  using ClientNumber = std::uint64_t;
  using Handler = std::function<void(ClientNumber, const HttpRequest&)>;

  /// Begins to serve. `fields`: of each answer.
  HttpServer(EventLoop& loop, ListeningPlace place, Handler handler,
             std::vector<std::pair<std::string, std::string>> fields = {},
             std::chrono::milliseconds patience = kPatience);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void answer(ClientNumber number, const HttpAnswer& answer);
  /// From now on the client follows. False where too many do; it is refused then.
  bool begin_stream(ClientNumber number);
  /// To all who follow, an event with `data`, which has no newline.
  void send_event(const std::string& name, const std::string& data);
  void send_event_to(ClientNumber number, const std::string& name, const std::string& data);
  [[nodiscard]] std::size_t streams() const;
  [[nodiscard]] std::size_t clients() const { return clients_.size(); }
  /// Called when a client that followed has left.
  void on_leave(std::function<void()> told) { left_ = std::move(told); }

 private:
  using Clients = std::list<HttpClient>;

  void accept_some();
  void take_in(StrangersFile socket);
  void see(Clients::iterator client, short events);
  void hear(Clients::iterator client);
  /// Writes what the client takes. False where it is to be dropped.
  bool go_on(Clients::iterator client);
  void watch(Clients::iterator client);
  void make_room();
  void drop(Clients::iterator client);
  Clients::iterator find(ClientNumber number);
  [[nodiscard]] std::string head_of(const HttpAnswer& answer) const;
  void push(Clients::iterator client, const std::string& text);

  EventLoop& loop_;
  const ListeningPlace place_;
  const Handler handler_;
  const std::vector<std::pair<std::string, std::string>> fields_;
  const std::chrono::milliseconds patience_;
  std::function<void()> left_;
  ClientNumber last_number_ = 0;
  Clients clients_;
  EventLoop::Source newcomers_;
};

}  // namespace shmvisor
