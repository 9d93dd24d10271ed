// `shmvisor web`: a page about one run, for browsers. It only reads: no request of a browser
// changes anything. While nobody looks, the run is asked nothing.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/client/call_follower.h"
#include "supervisor/client/ending_signal.h"
#include "supervisor/client/sampler.h"
#include "supervisor/client/show.h"
#include "supervisor/client/web_assets.h"
#include "supervisor/client/web_state.h"
#include "supervisor/http/http_server.h"

namespace shmvisor::client {
namespace {

using Clock = EventLoop::Clock;
using ClientNumber = HttpServer::ClientNumber;

constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kNoContent = 204;
constexpr std::chrono::milliseconds kBetweenLooks(1000);
/// Whether the run has ended is seen so soon, also when nobody looks.
constexpr std::chrono::seconds kBetweenKnocks(3);

/// No script, picture or connection but from here; no other page may have this one in a frame, or
/// read it.
std::vector<std::pair<std::string, std::string>> fields() {
  return {{"Content-Security-Policy",
           "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri "
           "'none'; form-action 'none'; frame-ancestors 'none'"},
          {"X-Content-Type-Options", "nosniff"},
          {"X-Frame-Options", "DENY"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Cross-Origin-Opener-Policy", "same-origin"}};
}

std::string as_text(const Json& object) {
  return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

class Web {
 public:
  Web(EventLoop& loop, ListeningPlace place, RunConnection run)
      : path_(run.path()),
        called_(run.hello().called()),
        checks_host_(place.url().starts_with("http")),
        look_(loop.timer([this] { look(); })),
        knock_(loop.timer([this] { knock(); })),
        follower_(loop, path_, [this](const CallFollower::Batch& batch) { tell(batch); }),
        sampler_(loop, std::move(run), /*with_processes=*/true,
                 [this](Result<RunView, Problem> view) { take(std::move(view)); }),
        server_(
            loop, std::move(place),
            [this](ClientNumber client, const HttpRequest& request) { handle(client, request); },
            fields()) {
    server_.on_leave([this] { follower_.follow(server_.streams() != 0); });
    knock_.set(Clock::now() + kBetweenKnocks);
  }

  [[nodiscard]] bool valid() const { return sampler_.valid(); }
  [[nodiscard]] bool run_has_ended() const { return run_has_ended_; }
  [[nodiscard]] const std::string& called() const { return called_; }
  bool stop() {
    const bool sampler_stopped = sampler_.stop();
    return follower_.stop() && sampler_stopped;
  }

 private:
  void handle(ClientNumber client, const HttpRequest& request) {
    struct File {
      const char* path;
      const char* type;
      std::string_view text;
    };
    const std::array files = {File{"/", "text/html; charset=utf-8", kWebPage},
                              File{"/style.css", "text/css; charset=utf-8", kWebStyle},
                              File{"/app.js", "text/javascript; charset=utf-8", kWebScript}};
    if (checks_host_ && !is_address_or_localhost(request.host)) {
      server_.answer(client,
                     {.status = kBadRequest, .body = "Host is neither localhost nor an address\n"});
      return;
    }
    for (const File& file : files) {
      if (request.path != file.path) continue;
      server_.answer(client, {.content_type = file.type,
                              .body = std::string(file.text),
                              .fields = {{"Cache-Control", "no-cache"}}});
      return;
    }
    if (request.path == "/state") {
      waiting_.push_back(client);
      look();
    } else if (request.path == "/events") {
      if (!server_.begin_stream(client)) return;
      // An older state would be a look of a time when this page was not open.
      if (!state_.empty() && Clock::now() < not_before_) {
        server_.send_event_to(client, "state", state_);
      }
      follower_.follow(true);
      look();
    } else if (request.path == "/favicon.ico") {
      server_.answer(client, {.status = kNoContent});
    } else {
      server_.answer(client, {.status = kNotFound, .body = "there is no such page\n"});
    }
  }

  void look() {
    if (server_.streams() == 0 && waiting_.empty()) return;
    if (Clock::now() < not_before_) {
      look_.set_by(not_before_);
    } else {
      sampler_.begin();
    }
  }

  void take(Result<RunView, Problem> view) {
    not_before_ = Clock::now() + kBetweenLooks;
    look_.set(not_before_);
    if (view) {
      state_ = as_text(web_state(std::move(*view)));
      server_.send_event("state", state_);
    } else if (view.error().has_ended) {
      end();
    } else {
      server_.send_event("trouble", as_text({{"text", view.error().text}}));
    }
    for (const ClientNumber client : std::exchange(waiting_, {})) {
      constexpr int kUnavailable = 503;
      HttpAnswer answer{.status = view ? 200 : kUnavailable,
                        .content_type = "application/json",
                        .body = view ? state_ : as_text({{"error", view.error().text}}),
                        .fields = {{"Cache-Control", "no-store"}}};
      server_.answer(client, answer);
    }
  }

  void tell(const CallFollower::Batch& batch) {
    server_.send_event("calls", as_text({{"calls", batch.calls}, {"lost", batch.lost}}));
  }

  /// Waits for nothing.
  void knock() {
    const auto answered = RunConnection::reach(path_);
    if (!answered && answered.error().has_ended) return end();
    knock_.set(Clock::now() + kBetweenKnocks);
  }

  void end() {
    run_has_ended_ = true;
    server_.send_event("ended", as_text({{"text", called_ + " has ended"}}));
  }

  const std::string path_;
  const std::string called_;
  const bool checks_host_;
  bool run_has_ended_ = false;
  std::string state_;  ///< the last, as text
  std::vector<ClientNumber> waiting_;
  EventLoop::Time not_before_;
  EventLoop::Timer look_;
  EventLoop::Timer knock_;
  CallFollower follower_;
  Sampler sampler_;
  HttpServer server_;
};

}  // namespace

Result<void, Problem> serve_web(RunConnection& run, const ShowOptions& options) {
  auto place = ListeningPlace::listen_at(options.place);
  if (!place) return Problem{place.error().text};
  EventLoop loop;
  const EndingSignal ending(loop);
  const std::string url = place->url();
  if (place->is_open_to_others()) {
    (void)std::fprintf(stderr, "shmvisor: whoever reaches %s sees all of %s\n", url.c_str(),
                       run.hello().called().c_str());
  }
  Web web(loop, std::move(*place), std::move(run));
  if (!web.valid() || !ending.valid()) return Problem{"no descriptor can be had"};
  print(web.called() + " is shown at " + url + (url.starts_with("unix:") ? "" : "/") + "\n");
  (void)std::fflush(stdout);
  bool turns = loop.run_while([&] { return !ending.came() && !web.run_has_ended(); });
  if (turns && web.run_has_ended()) {
    // For those who look to be told.
    constexpr std::chrono::milliseconds kLastWords(500);
    turns = loop.run_while([&] { return !ending.came(); }, Clock::now() + kLastWords);
    print(web.called() + " has ended\n");
    (void)std::fflush(stdout);
  }
  // A thread may be kept by a process whose files in /proc it reads.
  if (!web.stop()) ::_exit(0);
  if (!turns) return Problem{"poll(2) fails"};
  return {};
}

}  // namespace shmvisor::client
