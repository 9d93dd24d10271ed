// SentStops: the SIGSTOPs that guard held callers (StoppedThread), and the SIGCONTs that let others
// go on (LeftInjections). Each of these signals takes back those of the other kind that wait for a
// thread of the process. So a process has those of one kind at a time.
//
// Thread rule: any thread; nobody waits.
#pragma once

#include <sys/types.h>

#include <optional>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/inject/tracee.h"

namespace shmvisor {

class SentStops {
 public:
  static SentStops& all();

  /// While it lives a SIGSTOP of ours may wait for the thread.
  class Guard {
   public:
    Guard(Guard&& other) noexcept : tid_(std::exchange(other.tid_, 0)) {}
    Guard& operator=(Guard&&) = delete;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() {
      if (tid_ != 0) all().forget(tid_);
    }

   private:
    friend class SentStops;
    explicit Guard(pid_t tid) : tid_(tid) {}
    pid_t tid_;
  };
  /// EAGAIN where its process is being continued; otherwise Tracee::send_stop().
  Result<Guard> send(const Tracee& tracee);

  /// While it lives no thread of the process is guarded.
  class Continuing {
   public:
    /// Nothing while one is: it may be tried again.
    static std::optional<Continuing> begin(pid_t process);
    Continuing(Continuing&& other) noexcept : process_(std::exchange(other.process_, 0)) {}
    Continuing& operator=(Continuing&&) = delete;
    Continuing(const Continuing&) = delete;
    Continuing& operator=(const Continuing&) = delete;
    ~Continuing() {
      if (process_ != 0) all().end_continuing(process_);
    }

   private:
    explicit Continuing(pid_t process) : process_(process) {}
    pid_t process_;
  };

 private:
  void forget(pid_t tid);
  bool begin_continuing(pid_t process);
  void end_continuing(pid_t process);

  Mutex mutex_;
  std::vector<pid_t> guarded_ GUARDED_BY(mutex_);    ///< threads
  std::vector<pid_t> continued_ GUARDED_BY(mutex_);  ///< processes
};

}  // namespace shmvisor
