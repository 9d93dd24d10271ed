#include "supervisor/agent/agent_orders.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

namespace shmvisor {
namespace {

sigset_t orders_of_signals() {
  sigset_t all;
  sigemptyset(&all);
  sigaddset(&all, SIGTERM);
  sigaddset(&all, SIGINT);
  sigaddset(&all, SIGHUP);
  sigaddset(&all, SIGUSR2);
  return all;
}

UniqueFd open_signals() {
  const sigset_t all = orders_of_signals();
  return UniqueFd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

void AgentSignals::block() {
  const sigset_t all = orders_of_signals();
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

AgentSignals::AgentSignals(EventLoop& loop, AgentOrders& orders, std::function<void()> told,
                           std::function<void()> upgrade)
    : orders_(orders),
      told_(std::move(told)),
      upgrade_(std::move(upgrade)),
      signals_(open_signals()),
      came_(loop.watch(signals_.get(), POLLIN, [this](short) { read(); })) {}

void AgentSignals::read() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGUSR2) {
      upgrade_();
      continue;
    }
    if (info.ssi_signo != SIGHUP) {
      orders_.end.store(true);
      continue;
    }
    orders_.by_pid.store(static_cast<pid_t>(info.ssi_pid));
    orders_.by_uid.store(info.ssi_uid);
    ++orders_.reloads;
  }
  told_();
}

}  // namespace shmvisor
