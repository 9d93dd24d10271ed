#include "supervisor/client/serve_metrics.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/client/ending_signal.h"
#include "supervisor/client/run_metrics.h"
#include "supervisor/client/show.h"
#include "supervisor/control/control_options.h"
#include "supervisor/control/control_place.h"
#include "supervisor/http/http_server.h"
#include "supervisor/loop/loop_task.h"

namespace shmvisor::client {
namespace {

using Clock = EventLoop::Clock;

constexpr std::chrono::milliseconds kLastSteps(100);

constexpr int kFound = 200;
constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kUnavailable = 503;

class Exporter {
 public:
  Exporter(EventLoop& loop, ListeningPlace place, const std::vector<std::string>& sockets)
      : sockets_(sockets),
        checks_host_(!place.is_open_to_others() && place.url().starts_with("http")),
        task_(loop, [this](std::optional<Scrape>& scrape) { finish(scrape); }),
        server_(loop, std::move(place),
                [this](HttpServer::ClientNumber client, const HttpRequest& request) {
                  handle(client, request);
                }) {}

  [[nodiscard]] bool valid() const { return task_.valid(); }
  /// False where runs are still being asked, which takes kScrapeBound at most.
  bool stop() { return task_.wait_for_end(kLastSteps); }

 private:
  struct Waiting {
    HttpServer::ClientNumber client = 0;
    MetricsText::Format format = MetricsText::Format::kOpenMetrics;
  };

  void handle(HttpServer::ClientNumber client, const HttpRequest& request) {
    if (checks_host_ && !request.host.empty() && !is_address_or_localhost(request.host)) {
      server_.answer(client,
                     {.status = kBadRequest, .body = "Host is neither localhost nor an address\n"});
    } else if (request.path == "/metrics") {
      waiting_.push_back({client, MetricsText::format_for(request.accept)});
      begin();
    } else if (request.path == "/") {
      server_.answer(client, {.status = kFound, .body = "shmvisor serve-metrics: see /metrics\n"});
    } else {
      server_.answer(client, {.status = kNotFound, .body = "there is /metrics alone\n"});
    }
  }

  void begin() {
    if (last_ && Clock::now() < taken_at_ + kOldestScrape) return answer_all(*last_);
    if (task_.under_way()) return;
    std::vector<RunPlace> places;
    for (const std::string& path : sockets_) places.push_back({path, /*is_named=*/true});
    for (const std::string& path : control::known_sockets()) {
      const bool is_new = std::find(sockets_.begin(), sockets_.end(), path) == sockets_.end();
      if (is_new) places.push_back({path});
    }
    if (!task_.begin([places] { return scrape_runs(places, kScrapeBound); })) {
      refuse_all("no thread can be had\n");
    }
  }

  void finish(std::optional<Scrape>& scrape) {
    if (!scrape) return refuse_all("there is no memory for it\n");
    last_ = std::move(scrape);
    taken_at_ = Clock::now();
    answer_all(*last_);
  }

  void answer_all(const Scrape& scrape) {
    for (const Waiting& one : std::exchange(waiting_, {})) {
      server_.answer(one.client, {.content_type = MetricsText::content_type(one.format),
                                  .body = run_metrics(scrape, one.format)});
    }
  }
  void refuse_all(const char* reason) {
    for (const Waiting& one : std::exchange(waiting_, {})) {
      server_.answer(one.client, {.status = kUnavailable, .body = reason});
    }
  }

  const std::vector<std::string> sockets_;
  const bool checks_host_;
  std::vector<Waiting> waiting_;
  std::optional<Scrape> last_;
  EventLoop::Time taken_at_;
  LoopTask<Scrape> task_;
  HttpServer server_;
};

/// Those of the options, each once.
std::vector<std::string> named_sockets(const MetricsOptions& options) {
  std::vector<std::string> sockets;
  for (const std::string& path : options.sockets) {
    const bool is_new = std::find(sockets.begin(), sockets.end(), path) == sockets.end();
    if (is_new && path != ControlOptions::kAuto) sockets.push_back(path);
  }
  return sockets;
}

/// A run may begin later; but a path may be misspelt.
void tell_of_absent(const std::vector<std::string>& sockets) {
  for (const std::string& path : sockets) {
    const auto run = RunConnection::reach(path);
    if (run) continue;
    (void)std::fprintf(stderr,
                       "shmvisor: no run answers at %s yet: %s; it counts as unanswered until one "
                       "does\n",
                       printable(path).c_str(), run.error().text.c_str());
  }
}

}  // namespace

Result<void, Problem> serve_metrics(const MetricsOptions& options) {
  auto place = ListeningPlace::listen_at(options.place);
  if (!place) return Problem{place.error().text};
  EventLoop loop;
  const EndingSignal ending(loop);
  const std::string url = place->url();
  if (place->is_open_to_others()) {
    (void)std::fprintf(stderr, "shmvisor: other machines may read the metrics at %s\n",
                       url.c_str());
  }
  const auto sockets = named_sockets(options);
  tell_of_absent(sockets);
  auto exporter = std::make_unique<Exporter>(loop, std::move(*place), sockets);
  if (!exporter->valid() || !ending.valid()) return Problem{"no descriptor can be had"};
  print("metrics at " + url + (url.starts_with("unix:") ? "" : "/metrics") + "\n");
  (void)std::fflush(stdout);
  const bool turned = loop.run_while([&ending] { return !ending.came(); });
  const bool stopped = exporter->stop();
  exporter.reset();  // with the file of its socket
  if (!stopped) ::_exit(0);
  if (!turned) return Problem{"poll(2) fails"};
  return {};
}

}  // namespace shmvisor::client
