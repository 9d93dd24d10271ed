// `shmvisor top`: a page that is drawn anew every second, until the run ends or somebody quits.
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include "supervisor/client/ending_signal.h"
#include "supervisor/client/sampler.h"
#include "supervisor/client/show.h"
#include "supervisor/client/top_page.h"
#include "supervisor/client/top_screen.h"

namespace shmvisor::client {
namespace {

using Clock = EventLoop::Clock;

/// For a run that is busy, or stopped; then it is said.
constexpr std::chrono::seconds kSilent(5);

class Top {
 public:
  Top(EventLoop& loop, TopScreen& screen, RunConnection run, std::chrono::milliseconds pause)
      : screen_(screen),
        pause_(pause),
        called_(run.hello().called()),
        page_([has_our_pids = run.hello().has_our_pids()](const Json& segment) {
          return creator_of(segment, has_our_pids);
        }),
        signals_(open_signals({SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT})),
        signalled_(loop.watch(signals_.get(), POLLIN, [this](short) { take_signals(); })),
        pressed_(loop.watch(STDIN_FILENO, POLLIN, [this](short events) { take_keys(events); })),
        look_(loop.timer([this] { sampler_.begin(); })),
        silent_(loop.timer([this] {
          page_.complain(called_ + " does not answer");
          draw();
        })),
        sampler_(loop, std::move(run), /*with_processes=*/false,
                 [this](Result<RunView, Problem> view) { take(std::move(view)); }) {
    draw();
    sampler_.begin();
    silent_.set(Clock::now() + kSilent);
  }

  [[nodiscard]] bool valid() const { return sampler_.valid() && signals_.valid(); }
  [[nodiscard]] bool over() const { return over_; }
  /// What to say when the terminal is given back; empty where nothing is.
  [[nodiscard]] const std::string& last_words() const { return last_words_; }
  bool stop() { return sampler_.stop(); }

 private:
  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGWINCH) over_ = true;
    }
    if (over_) return;
    screen_.resize();
    draw();
  }

  void take_keys(short events) {
    const int page = static_cast<int>(screen_.rows()) / 2;
    for (int keys = 0; keys < kMostKeysInATurn; ++keys) {
      switch (screen_.key()) {
        case TopScreen::Key::kNone:
          // The terminal is gone.
          if (keys == 0 && (events & (POLLHUP | POLLERR)) != 0) over_ = true;
          return draw();
        case TopScreen::Key::kQuit:
          over_ = true;
          return;
        case TopScreen::Key::kSort:
          page_.next_order();
          break;
        case TopScreen::Key::kUp:
          page_.scroll(-1);
          break;
        case TopScreen::Key::kDown:
          page_.scroll(1);
          break;
        case TopScreen::Key::kPageUp:
          page_.scroll(-page);
          break;
        case TopScreen::Key::kPageDown:
          page_.scroll(page);
          break;
        case TopScreen::Key::kRedraw:
          screen_.resize();
          break;
        case TopScreen::Key::kOther:
          break;
      }
    }
    draw();
  }

  void take(Result<RunView, Problem> view) {
    silent_.set(Clock::now() + pause_ + kSilent);
    look_.set(Clock::now() + pause_);
    if (view) {
      page_.add(std::move(*view));
    } else if (view.error().has_ended) {
      last_words_ = called_ + " has ended\n";
      over_ = true;
      return;
    } else {
      page_.complain(printable(view.error().text));
    }
    draw();
  }

  void draw() { screen_.draw(page_.lines(screen_.rows(), screen_.columns())); }

  static constexpr int kMostKeysInATurn = 64;

  TopScreen& screen_;
  const std::chrono::milliseconds pause_;
  const std::string called_;
  TopPage page_;
  bool over_ = false;
  std::string last_words_;
  const UniqueFd signals_;
  const EventLoop::Source signalled_;
  const EventLoop::Source pressed_;
  EventLoop::Timer look_;
  EventLoop::Timer silent_;
  Sampler sampler_;
};

}  // namespace

Result<void, Problem> watch_run(RunConnection& run, const ShowOptions& options) {
  auto screen = TopScreen::open();
  if (!screen) return screen.error();
  EventLoop loop;
  const std::chrono::milliseconds pause(static_cast<std::int64_t>(options.delay_seconds * 1000));
  Top top(loop, *screen, std::move(run), pause);
  bool turns = top.valid();
  while (turns && !top.over()) turns = loop.turn();
  screen->restore();
  print(top.last_words());
  (void)std::fflush(stdout);
  // The thread may be kept by a process whose files in /proc it reads.
  if (!top.stop()) ::_exit(0);
  if (!turns) return Problem{"poll(2) fails"};
  return {};
}

}  // namespace shmvisor::client
