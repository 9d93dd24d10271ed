#include "supervisor/session/server_pool.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "supervisor/log/limited_log.h"
#include "supervisor/resources/last_closes.h"
#include "supervisor/session/served_listener.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// A listener that received nothing from one look to the next is quiet.
constexpr std::chrono::milliseconds kBetweenLooks(1000);
/// Between looks whether ending threads have ended.
constexpr std::chrono::milliseconds kBetweenEndings(10);
/// Between tries when no thread or descriptor could be created.
constexpr std::chrono::milliseconds kBetweenWakes(50);
constexpr std::size_t kEventsAtOnce = 64;

}  // namespace

class ServerPool::Entry {
 public:
  Entry(int listener, WaitKind wait_kind, Client client)
      : ended(std::move(client.ended)),
        served(std::move(client.session), Listener::Borrowed{listener}, wait_kind, client.options),
        has_left_calls(client.slots != nullptr && served.begin_with(*client.slots, client.left)) {
    if (client.wait_kind != nullptr) served.keep_wait_kind_in(*client.wait_kind);
  }

  [[nodiscard]] int fd() const { return served.listener().fd(); }
  [[nodiscard]] Server& server() { return served.server(); }

  const std::function<void()> ended;
  StrangersFile file = StrangersFile::none();  ///< the listener's, once it is watched
  ServedListener served;
  bool has_left_calls;  ///< and no thread yet: nothing at the listener tells of these calls
  Entries* list = nullptr;
  Entries::iterator self;
  bool wants_rest = false;
  std::optional<std::uint64_t> received_at_last_look;

  void move_to(Entries& target) {
    target.splice(target.end(), *list, self);
    list = &target;
  }
};

ServerPool::ServerPool(EventLoop& loop)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      some_happened_(loop.watch(epoll_.get(), POLLIN, [this](short) { look(); })),
      rest_time_(loop.timer([this] { lay_quiet_ones_to_rest(); })),
      wake_again_(loop.timer([this] { wake_others_again(); })),
      destroy_again_(loop.timer([this] { destroy_ended_ones(); })) {}

ServerPool::~ServerPool() = default;

Result<void> ServerPool::add(StrangersFile& listener, WaitKind wait_kind, Client client) {
  if (!epoll_.valid()) return Errno(EMFILE);
  if (unwoken_.capacity() <= size()) unwoken_.reserve(2 * size() + 1);
  resting_.emplace_back(listener.get(), wait_kind, std::move(client));
  Entry& entry = resting_.back();
  entry.list = &resting_;
  entry.self = std::prev(resting_.end());
  // The last step that may fail: epoll would go on watching a closed file that others have open
  // too.
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.ptr = &entry;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, entry.fd(), &wanted) != 0) {
    const Errno error = Errno::current();
    resting_.pop_back();
    return error;
  }
  entry.file = std::move(listener);
  if (entry.has_left_calls) wake(entry);
  return {};
}

Result<void> ServerPool::start(Entry& entry) noexcept {
  Result<void> started = Errno(ENOMEM);
  try {
    started = entry.server().start();
    if (started) Server::keep_reserve();
  } catch (const std::bad_alloc&) {  // it is started, or the errno says so
  }
  return started;
}

void ServerPool::watch(Entry& entry, unsigned events) const {
  epoll_event wanted{};
  wanted.events = events;  // and EPOLLHUP, which always is
  wanted.data.ptr = &entry;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, entry.fd(), &wanted);
}

void ServerPool::look() {
  std::array<epoll_event, kEventsAtOnce> events{};
  // Each listener once: after a look it must be known whether the last one has ended.
  for (std::size_t batches = size() / kEventsAtOnce + 1; batches > 0; --batches) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, 0);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events.at(static_cast<std::size_t>(i));
      see(*static_cast<Entry*>(event.data.ptr), event.events);
    }
    if (count < static_cast<int>(kEventsAtOnce)) break;
  }
  destroy_ended_ones();
}

void ServerPool::see(Entry& entry, unsigned events) {
  if ((events & EPOLLHUP) != 0) {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.fd(), nullptr);
    std::erase(unwoken_, &entry);
    entry.move_to(ended_);
    destroy_again_.set(Clock::now());  // also where ended() throws
    entry.ended();
    return;
  }
  if ((events & EPOLLIN) != 0) wake(entry);
}

void ServerPool::wake(Entry& entry) {
  if (const auto started = start(entry); !started) {
    // Its callers wait. The listener is not watched meanwhile, or it would keep the main loop busy.
    const bool no_thread = started.error() == Errno(EAGAIN);
    log_limited(spdlog::level::warn, LogTopic::kThreads, LogLimiter::kNobody,
                "calls wait: {}; raise {}",
                no_thread ? "no thread can be made" : std::strerror(started.error().value()),
                no_thread ? "RLIMIT_NPROC, or the pids limit of the cgroup" : "RLIMIT_NOFILE");
    if (std::ranges::find(unwoken_, &entry) == unwoken_.end()) unwoken_.push_back(&entry);
    watch(entry, 0);
    wake_again_.set_by(Clock::now() + kBetweenWakes);
    return;
  }
  entry.has_left_calls = false;
  entry.wants_rest = false;
  entry.received_at_last_look.reset();
  watch(entry, 0);
  if (entry.list != &awake_) entry.move_to(awake_);
  rest_time_.set_by(Clock::now() + kBetweenLooks);
}

void ServerPool::wake_others_again() {
  for (std::size_t count = unwoken_.size(); count > 0; --count) {
    Entry& entry = *unwoken_.front();
    unwoken_.erase(unwoken_.begin());
    if (entry.has_left_calls) {
      wake(entry);
    } else {
      watch(entry, EPOLLIN);  // where calls wait no longer, nothing comes of it
    }
  }
}

void ServerPool::lay_quiet_ones_to_rest() {
  for (auto at = awake_.begin(); at != awake_.end();) {
    Entry& entry = *at++;
    const std::uint64_t received = entry.server().received();
    const bool quiet =
        received == entry.received_at_last_look && !entry.server().has_delayed_calls();
    entry.received_at_last_look = received;
    if (!quiet && !entry.wants_rest) continue;
    // From here on perhaps no thread receives any more, so a call must wake us.
    if (!entry.wants_rest) watch(entry, EPOLLIN);
    entry.wants_rest = true;
    entry.server().rest();
    // A delayed call may have come meanwhile. No other thread would look at it.
    if (entry.server().has_delayed_calls()) {
      wake(entry);
      continue;
    }
    if (!entry.server().idle()) continue;
    entry.server().rest();  // gives its descriptors back
    entry.move_to(resting_);
  }
  if (!awake_.empty()) rest_time_.set(Clock::now() + kBetweenLooks);
}

void ServerPool::destroy_ended_ones() {
  destroy_again_.cancel();
  for (auto at = ended_.begin(); at != ended_.end();) {
    // Before Linux 6.11 NOTIF_RECV does not tell that no process is left.
    at->server().rest();
    at = at->server().idle() ? ended_.erase(at) : std::next(at);
  }
  if (!ended_.empty()) destroy_again_.set(Clock::now() + kBetweenEndings);
}

bool ServerPool::drain(std::chrono::milliseconds bound) {
  const auto deadline = Clock::now() + bound;
  for (;;) {
    bool idle = true;
    for (Entries* const entries : {&awake_, &ended_}) {
      for (Entry& entry : *entries) {
        entry.server().rest();
        idle = idle && entry.server().idle();
      }
    }
    if (idle) {
      let_go();
      return true;
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kBetweenEndings);
  }
}

void ServerPool::let_go() {
  LastCloses::all().begin_end();
  unwoken_.clear();
  for (Entries* const entries : {&resting_, &awake_, &ended_}) {
    for (const Entry& entry : *entries) {
      (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.fd(), nullptr);
    }
    entries->clear();
  }
}

}  // namespace shmvisor
