// KeptVisitors: who has joined a run, and what was found out about them when they did, where the
// next server finds it. A visitor can change nothing of it, and nothing of it is asked for again.
//
// A visitor is there, and is over, by one store of its state. Descriptors that it names stay open
// as long as it is there, under the same numbers: who closes one of them ends that first.
//
// Ownership: mapped for as long as the keeper lives, at the same address in every server. Names
// descriptors, owns none. Thread rule: the main thread of one server at a time; the keeper while
// there is none. What another thread may use is atomic.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "supervisor/keeper/keeper_page.h"

namespace shmvisor {

struct KeptVisitor {
  enum State : std::uint32_t {
    kFree = 0,
    kAdmitted = 1,  ///< its answer is being sent
    kJoined = 2,
    kEnded = 3,  ///< the last process under its filter has, and its listener is closed next
  };

  std::atomic<std::uint32_t> state{kFree};
  // These are set before:
  uid_t payer = 0;
  std::uint32_t tracer_wait_ms = 0;
  bool in_session = false;          ///< SupervisedScope::Root
  std::uint64_t filters = 0;        ///< SupervisedScope::Root
  pid_t pid = 0;                    ///< SupervisedScope::Root
  std::uint64_t started_ticks = 0;  ///< SupervisedScope::Root
  std::uint64_t ipc_inode = 0;      ///< of its IPC namespace
  int connection = -1;
  int listener = -1;
  int mount = -1;           ///< for its answer; -1: none. Not once it has joined
  int files = -1;           ///< its FUSE connection; -1: none. Not once `fuse` is over
  int ipc_namespace = -1;   ///< -1: not known
  int user_namespace = -1;  ///< -1: it is ours

  // Of ProcMountFailure: why it has no files in /proc that it wanted.
  std::uint8_t missing_step = 0;
  int missing_errno = 0;

  std::atomic<std::uint8_t> wait_kind{0};  ///< WaitKind, as its callers have shown it
  FuseBeginning fuse;
};

/// Gives a visitor up when it is destroyed: before what is older closes descriptors of it.
class KeptVisitorEnd {
 public:
  /// `visitor`: null where there is none.
  explicit KeptVisitorEnd(KeptVisitor* visitor) : visitor_(visitor) {}
  KeptVisitorEnd(const KeptVisitorEnd&) = delete;
  KeptVisitorEnd& operator=(const KeptVisitorEnd&) = delete;
  ~KeptVisitorEnd() {
    if (visitor_ != nullptr) visitor_->state.store(KeptVisitor::kFree);
  }
  /// It is served.
  void dismiss() { visitor_ = nullptr; }

 private:
  KeptVisitor* visitor_;
};

class KeptVisitors {
 public:
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostDescriptors = 6 * kMost;

  /// Null where there is no memory.
  static KeptVisitors* create();

  /// A new one that is free; null where there are kMost. It is taken by its state.
  [[nodiscard]] KeptVisitor* make();
  template <typename Each>
  void for_each(Each each) {
    for (std::size_t number = 0; number < end_.load(); ++number) {
      if (at(number)->state.load() != KeptVisitor::kFree) each(*at(number));
    }
  }
  /// IpcNamespaces::owner_depth(). Visitors that came from elsewhere make it less, and it stays so
  /// when they have left.
  std::atomic<std::size_t> owner_depth{~std::size_t{0}};

  /// All descriptors that they name, sorted. With room for kMostDescriptors in `all` it allocates
  /// nothing.
  void list_descriptors(std::vector<int>& all);

 private:
  [[nodiscard]] KeptVisitor* at(std::size_t number) {
    return reinterpret_cast<KeptVisitor*>(room_.data()) + number;
  }

  std::atomic<std::size_t> end_{0};  ///< none has been made from here on
  /// Which one is looked at next. One that was just given up comes last: a thread of its listener
  /// may still be about to note how callers wait.
  std::atomic<std::size_t> next_{0};
  /// Untouched until they are made: new pages cost nothing.
  alignas(KeptVisitor) std::array<std::byte, kMost * sizeof(KeptVisitor)> room_;
};

}  // namespace shmvisor
