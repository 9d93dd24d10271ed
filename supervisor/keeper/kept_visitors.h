// KeptVisitors: who has joined a run, and what was found out about them when they did, where the
// next server finds it. A visitor can change nothing of it, and nothing of it is asked for again.
//
// A visitor is there, and is over, by one store of its state. Descriptors that it names stay open
// as long as it is there, under the same numbers: who closes one of them ends that first.
//
// Ownership: mapped for as long as the keeper lives, at the same address in every server. Names
// descriptors, owns none. Thread rule: of KeptTable.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/keeper/keeper_page.h"
#include "supervisor/keeper/kept_owner.h"
#include "supervisor/keeper/kept_table.h"

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

class KeptVisitors : public KeptTable<KeptVisitor, 1024> {
 public:
  static constexpr std::size_t kMostDescriptors = 7 * kMost;

  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore

  /// Null where there is no memory. `of`: whose they are, of the several that a keeper may have.
  static KeptVisitors* create(const std::string& of = "run");

  /// Of the registry that they share, where nothing else notes it.
  KeptOwner owner;

  /// Appends all descriptors that they name. With room for kMostDescriptors in `all` it allocates
  /// nothing.
  void list_descriptors(std::vector<int>& all);
  /// Appends those listeners that are served.
  void list_listeners(std::vector<int>& all);
};

}  // namespace shmvisor
