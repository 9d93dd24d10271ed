// receive_screened: receives a visitor's message in a child process, and passes on only descriptors
// of the right kinds.
//
// A received descriptor is open before it can be looked at. Its close(2) may wait for ever: a FUSE
// of the visitor's is asked to flush and need not answer, and neither a signal nor the end of the
// process ends that wait. So a child without our descriptors receives. It passes on a listener and
// a user namespace, whose close never waits, and ends with all others, however long that takes.
//
// There is a child only for a message with descriptors: a fork keeps all threads of this process
// from their page faults, and a visitor may come again at once.
//
// Errors: those of receive_message(); EAGAIN where no child can be created, ETIMEDOUT where it does
// not answer. Thread rule: a thread that may be lost.
#pragma once

#include <functional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

struct ScreenedRequest {
  join::Request request;
  StrangersFile listener;   ///< invalid where the descriptors do not fit the request
  UniqueFd user_namespace;  ///< valid where it wants files in /proc
};

/// Made before there is something to hold.
struct ScreeningRoom {
  StrangersFile socket;
  StrangersFile listener;
};

/// `connection`: non-blocking, and has a message. It is closed before `take` is called: until then
/// its owner keeps it open, so that nothing is dropped here. `take` gets the result, once, in the
/// calling thread. After that this returns when the child has ended, which may be never.
void receive_screened(UniqueFd connection, ScreeningRoom room,
                      const std::function<void(Result<ScreenedRequest>)>& take);

}  // namespace shmvisor
