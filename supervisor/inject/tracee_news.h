// News of a thread that the calling thread traces: it stopped, or it ended.
//
// Every wait has __WNOTHREAD: after an exec another serving thread may trace a thread that has the
// same tid by now, and must see that thread's stop. Functions consume the news only where they say
// so: where the thread is a child of ours its death is for the init loop to see.
//
// Errors: waitid(2)'s, as an errno; EINTR by a KickTimer. Thread rule: the tracing thread.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>

namespace shmvisor {

/// Waits for the next news.
int wait_for_news(pid_t tid, siginfo_t& info);
/// The same, but EINTR where it takes longer than two seconds. `before_long_wait`, if there is one,
/// is called where it takes longer than kSoon (inject/kick_timer.h).
int wait_a_while_for_news(pid_t tid, siginfo_t& info,
                          const std::function<void()>& before_long_wait = {});
/// Whether there is news, so that these functions would not have to wait.
[[nodiscard]] bool has_news(pid_t tid);
/// Takes away the stop that is there.
void consume_stop(pid_t tid);
/// Reaps a thread that was killed. False where it does not end in two seconds.
[[nodiscard]] bool reap_within_bound(pid_t tid);
/// Waits until the thread has ended, or is not traced by this thread any more: true. Each stop
/// until then is consumed and told to `stopped`. False where `stopped` answered true, which ends
/// the wait: the thread lives.
bool wait_for_end(pid_t tid, const std::function<bool()>& stopped);

}  // namespace shmvisor
