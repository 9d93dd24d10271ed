// KeptContainers: which containers an agent serves, and what was found out about them when they
// began, where the next server of a keeper finds it. Nothing of it is asked for again.
//
// Descriptors that are named here stay open, under their numbers, as long as they are: who closes
// one of them says so here first. A container is there before its first listener is, and a session
// before its first container; those without are over.
//
// Ownership: mapped for as long as the keeper lives, at the same address in every server. Names
// descriptors, owns none. Thread rule: of KeptTable.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/limits/container_metadata.h"
#include "policy/limits/limits.h"
#include "supervisor/keeper/kept_owner.h"
#include "supervisor/keeper/kept_table.h"
#include "supervisor/scope/container_scope.h"

namespace shmvisor {

/// A group, or a container without one.
struct KeptSession {
  std::atomic<std::uint32_t> state{0};  ///< its number
  Limits limits;                        ///< of registries that are made in it
  LimitSettings own;                    ///< of these those that metadata set
  std::array<char, 65> group{};         ///< empty: none; ends with a zero
  KeptOwner owner;
};

struct KeptContainer {
  enum State : std::uint32_t {
    kFree = 0,
    kMade = 1,    ///< it has no listener yet
    kServed = 2,  ///< with its first listener
  };
  static constexpr std::size_t kMostText = 3840;
  static constexpr std::size_t kMostNamespaces = 8;

  std::atomic<std::uint32_t> state{kFree};
  std::uint32_t session = 0;
  std::uint64_t made = 0;  ///< later ones have higher numbers
  Limits limits;           ///< of its metadata, as the next two
  LimitSettings own;
  bool has_group = false;  ///< that of the session
  std::atomic<bool> has_processes{false};
  KeptHome home;

  /// False where that is too long.
  bool name(std::string_view id, std::string_view called);
  [[nodiscard]] std::string id() const { return std::string(text.data(), id_bytes); }
  [[nodiscard]] std::string called() const {
    return std::string(text.data() + id_bytes, called_bytes);
  }
  /// What has no room makes its processes everybody: to look at too many costs time alone.
  void add(const ContainerScope::Part& part);
  void add_parts_to(ContainerScope& scope) const;

  // Of these functions:
  std::uint16_t id_bytes = 0;
  std::uint16_t called_bytes = 0;
  std::atomic<bool> everybody{false};
  std::atomic<std::uint32_t> namespaces{0};  ///< of these are there; set last
  std::array<std::uint64_t, kMostNamespaces> pid_namespaces{};
  /// Paths of control groups, each of which ends with a zero, behind the names; set last.
  std::atomic<std::uint32_t> paths_bytes{0};
  std::array<char, kMostText> text;
};

struct KeptListener {
  enum State : std::uint32_t {
    kFree = 0,
    kServed = 1,
    kEnded = 2,  ///< its descriptor is closed next; a thread may still note how callers wait
  };

  std::atomic<std::uint32_t> state{kFree};
  int fd = -1;
  std::uint32_t container = 0;  ///< its number in the table
  pid_t pid = 0;                ///< as its runtime told it
  /// Inode of the runtime's connection, which is closed next; 0: it was.
  std::atomic<std::uint64_t> connection{0};
  std::atomic<std::uint8_t> wait_kind{0};  ///< WaitKind, as its callers have shown it
};

/// Gives a listener's entry up when the last thread that may note something there has ended.
class KeptListenerEnd {
 public:
  explicit KeptListenerEnd(KeptListener& listener) : listener_(listener) {}
  KeptListenerEnd(const KeptListenerEnd&) = delete;
  KeptListenerEnd& operator=(const KeptListenerEnd&) = delete;
  ~KeptListenerEnd() { listener_.state.store(KeptListener::kFree); }

 private:
  KeptListener& listener_;
};

struct KeptContainers {
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore
  static constexpr std::size_t kMost = 32768;
  static constexpr std::size_t kMostDescriptors = 3 * kMost;

  /// Null where there is no memory.
  static KeptContainers* create();

  /// Appends all descriptors that are named. With room for kMostDescriptors in `all` it allocates
  /// nothing.
  void list_descriptors(std::vector<int>& all);

  void note_defaults(const Limits& limits) {
    defaults = limits;
    has_defaults.store(true);
  }
  /// Limits of containers whose metadata set none, where they are not what the options say any
  /// more.
  std::atomic<bool> has_defaults{false};
  Limits defaults;

  KeptTable<KeptSession, kMost, TakenAgain::kSoon> sessions;
  KeptTable<KeptContainer, kMost, TakenAgain::kSoon> containers;
  KeptTable<KeptListener, kMost, TakenAgain::kSoon> listeners;
};

}  // namespace shmvisor
