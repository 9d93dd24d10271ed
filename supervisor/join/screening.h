// receive_screened: receives what a visitor sends by a child process, and hands on what it should
// be.
//
// A descriptor is open before anybody can look at it. To close it may wait for its file system, a
// FUSE of the visitor's say, which need not answer: close(2) asks it to flush, no signal ends that
// wait, and neither does the end of a process. So a child receives that has nothing of ours. It
// looks at what came, hands on a listener and a user namespace, whose end waits for nobody, and
// ends with all else, whenever that is.
//
// Errors: those of receive_message(); EAGAIN where the child cannot be had, ETIMEDOUT where it does
// not answer. Thread rule: a thread that may be lost.
#pragma once

#include <functional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/join/join_messages.h"

namespace shmvisor {

struct ScreenedRequest {
  join::Request request;
  UniqueFd listener;        ///< invalid where what came beside the request is not what it asks for
  UniqueFd user_namespace;  ///< valid where it wants files in /proc
};

/// `connection`: does not block, and has a message. `take` gets what came of it, once, in the
/// calling thread. After that this returns when the child has ended, which may be never.
void receive_screened(UniqueFd connection,
                      const std::function<void(Result<ScreenedRequest>)>& take);

}  // namespace shmvisor
