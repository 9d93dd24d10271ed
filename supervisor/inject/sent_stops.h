// SentStops: the SIGSTOPs that guard held callers (StoppedThread), and the SIGCONTs that let others
// go on (LeftInjections). Each of these signals takes back those of the other kind that wait for a
// thread of the process. So none of the first kind is sent while one of the second is waited for.
//
// Thread rule: any thread; nobody waits.
#pragma once

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/inject/tracee.h"

namespace shmvisor {

class SentStops {
 public:
  static SentStops& all() {
    static SentStops stops;
    return stops;
  }

  /// EAGAIN where processes are being continued; otherwise Tracee::send_stop().
  Result<void> send(const Tracee& tracee) {
    const MutexLock lock(mutex_);
    if (continuing_ != 0) return Errno(EAGAIN);
    return tracee.send_stop();
  }

  class Continuing {
   public:
    Continuing() { all().count(1); }
    Continuing(const Continuing&) = delete;
    Continuing& operator=(const Continuing&) = delete;
    ~Continuing() { all().count(-1); }
  };

 private:
  void count(int more) {
    const MutexLock lock(mutex_);
    continuing_ += more;
  }

  Mutex mutex_;
  int continuing_ GUARDED_BY(mutex_) = 0;
};

}  // namespace shmvisor
