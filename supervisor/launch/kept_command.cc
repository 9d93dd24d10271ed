#include "supervisor/launch/kept_command.h"

#include <poll.h>
#include <unistd.h>

#include <cstdint>

#include "supervisor/launch/exit_status.h"

namespace shmvisor {

KeptCommand::KeptCommand(EventLoop& loop, const KeeperPage& page, int news)
    : loop_(loop), page_(page), news_came_(loop.watch(news, POLLIN, [news](short) {
        std::uint64_t count = 0;
        (void)!::read(news, &count, sizeof(count));
      })) {}

int KeptCommand::run(bool linger, const std::function<bool()>& all_gone) {
  const bool over = loop_.run_while(
      [&] { return !ended() || (linger && !page_.told_to_end.load() && !all_gone()); });
  return over ? page_.command_status.load() : exit_status::kOwnFailure;
}

void KeptCommand::run_until(int fd) {
  bool readable = false;
  const EventLoop::Source source = loop_.watch(fd, POLLIN, [&readable](short) { readable = true; });
  (void)loop_.run_while([&] { return !ended() && !readable; });
}

}  // namespace shmvisor
