#include "supervisor/launch/role_search.h"

#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "supervisor/launch/ending_signals.h"
#include "supervisor/launch/exit_status.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kBetweenTries(50);

}  // namespace

Result<Role, Failure> RoleSearch::first() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  const EndingSignals ending(mask);
  if (auto failure = open_lock()) return std::move(*failure);
  return search();
}

Result<Role, Failure> RoleSearch::again() {
  if (lock_) lock_->drop();
  return search();
}

void RoleSearch::bequeath_lock() const {
  if (lock_) lock_->bequeath();
}

std::optional<Failure> RoleSearch::open_lock() {
  if (!options_.join_or_serve) return std::nullopt;
  auto opened = RunLock::at(options_.serve_path);
  if (opened) {
    lock_.emplace(std::move(*opened));
  } else if (opened.error() == Errno(EPERM) || opened.error() == Errno(EACCES)) {
    // Whom we may join all the same.
    lock_is_others_ = opened.error() == Errno(EPERM);
  } else {
    const bool irregular = opened.error() == Errno(EINVAL);
    return Failure{exit_status::kOwnFailure,
                   "cannot open '" + options_.serve_path + ".lock': " +
                       (irregular ? "not a regular file" : std::strerror(opened.error().value()))};
  }
  return std::nullopt;
}

std::string RoleSearch::still_live() const {
  return "the server at '" + options_.serve_path +
         "' has ended, and processes that it served live on, perhaps with segments that a new one "
         "would not know of: end them first ('fuser -v " +
         options_.serve_path + ".lock' shows them)";
}

std::string RoleSearch::not_allowed() const {
  const std::string lock = "'" + options_.serve_path + ".lock'";
  if (!lock_is_others_) {
    return "nobody serves at '" + options_.serve_path + "', and " + lock +
           " may not be made or opened, which tells whether processes of an earlier server live on";
  }
  return "nobody serves at '" + options_.serve_path + "', and " + lock +
         " is another user's, which tells whether processes of an earlier server live on: let its "
         "owner serve, or remove it when all processes of those runs have ended";
}

Result<Role, Failure> RoleSearch::search() {
  for (int tries = 1;; ++tries) {
    const bool last = tries == kMostTries;
    if (tries > 1) std::this_thread::sleep_for(kBetweenTries);
    Role role;
    bool server_may_come = false;
    if (!options_.join_path.empty()) {
      auto found = JoinConnection::to(options_.join_path);
      if (found) {
        role.server.emplace(std::move(*found));
        // One that is about to serve has the lock alone, for a moment.
        if (!lock_ || lock_->share() || last) return role;
        continue;
      }
      const JoinConnection::Trouble& missing = found.error();
      if (!options_.join_or_serve || !missing.nobody_serves) {
        return Failure{exit_status::kOwnFailure, missing.text};
      }
      server_may_come = true;
    }
    if (options_.serve_path.empty()) return role;
    if (options_.join_or_serve && !lock_) {
      // The owner of the lock may be about to serve.
      if (last) return Failure{exit_status::kOwnFailure, not_allowed()};
      continue;
    }
    if (lock_ && !lock_->try_alone()) {
      if (last) return Failure{exit_status::kOwnFailure, still_live()};
      continue;
    }
    auto listening = JoinSocket::listen_at(options_.serve_path);
    if (listening) {
      role.socket.emplace(std::move(*listening));
      if (lock_) (void)lock_->share();
      return role;
    }
    if (lock_) lock_->drop();
    if (!server_may_come || last) {
      return Failure{exit_status::kOwnFailure, listening.error()};
    }
  }
}

}  // namespace shmvisor
