// Handlers that interrupt calls, and calls that are made again where one did.
#pragma once

#include <errno.h>
#include <signal.h>

// How the handlers are installed; the program is built a second time with 0. Without SA_RESTART a
// signal that comes after the call was made and before its notification was received ends the
// call with EINTR: up to there the kernel waits interruptibly, whatever the filter's flags are.
// Such a call has done nothing and is made again here: what it answers then would show if it had.
#ifndef RESTART
#define RESTART SA_RESTART
#endif

#define UNINTERRUPTED(call)                                    \
  (__extension__({                                             \
    long result_;                                              \
    do {                                                       \
      result_ = (call);                                        \
    } while (RESTART == 0 && result_ == -1 && errno == EINTR); \
    result_;                                                   \
  }))
