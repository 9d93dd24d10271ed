// The fixture of tests of the journal: registries over the machine's memory, a journal that
// observes them, and both as text, so that what is read back can be compared with what there is.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "emulation/shm/registries.h"
#include "emulation/syscalls/new_segment.h"
#include "supervisor/journal/change_journal.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/journal/state_file.h"
#include "supervisor/memory/machine.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/scope/descendant_scope.h"

namespace shmvisor {

/// One line, each number after its name.
class Line {
 public:
  template <typename Number>
  Line& add(const char* name, Number number) {
    text_ += std::string(name) + "=" + std::to_string(number) + " ";
    return *this;
  }
  Line& add(const char* name, const PidRecord& process) {
    add(name, process.pid);
    if (process.inner == nullptr) return *this;
    for (const auto& inner : *process.inner) add("in", inner.pid_namespace).add("as", inner.pid);
    return *this;
  }
  [[nodiscard]] std::string text() const { return text_ + "\n"; }

 private:
  std::string text_;
};

inline std::string text_of(const Limits& limits, bool rmid_forced, int next_id,
                           const IdCursor& cursor) {
  return Line()
      .add("shmmax", limits.shmmax)
      .add("shmall", limits.shmall)
      .add("shmmni", limits.shmmni)
      .add("forced", rmid_forced)
      .add("next", next_id)
      .add("last", cursor.last_index)
      .add("seq", cursor.seq)
      .text();
}

inline std::string text_of(int id, const IpcPerm& perm, const AttachStamps& stamps,
                           const std::optional<CreatorThread>& creator) {
  return Line()
      .add("id", id)
      .add("key", perm.key)
      .add("uid", perm.uid)
      .add("gid", perm.gid)
      .add("cuid", perm.cuid)
      .add("cgid", perm.cgid)
      .add("mode", perm.mode)
      .add("atime", stamps.atime)
      .add("dtime", stamps.dtime)
      .add("lpid", stamps.lpid)
      .add("tid", creator ? creator->tid : -1)
      .add("unique", creator ? creator->unique : 0)
      .text();
}

/// All that there is of one registry.
inline std::string text_of(const Registry& registry) {
  const auto state = registry.read();
  std::string text =
      text_of(state->limits(), registry.rmid_forced(), state->next_id_hint(), state->id_cursor());
  state->for_each([&](const std::shared_ptr<Segment>& segment) {
    const SegmentState& changing = state->of(std::as_const(*segment));
    const auto& memory = static_cast<const MemfdMemory&>(segment->memory());
    text += text_of(segment->id(), changing.perm, segment->stamps(), changing.creator);
    text +=
        Line()
            .add("size", segment->size_bytes())
            .add("ctime", changing.ctime_seconds)
            .add("cpid", segment->cpid())
            .add("account", segment->account())
            .add("locked by", (changing.perm.mode & abi::kShmLocked) != 0 ? changing.locked_by : 0)
            .add("opened", segment->was_opened())
            .add("reserve", memory.is_reserved())
            .add("inode", memory.identity().inode)
            .add("fd", memory.descriptor())
            .add("name", memory.name_key())
            .text();
  });
  return text;
}

inline std::string text_of(const journal::RecoveredRegistry& registry) {
  const saved::RegistryState& settings = registry.settings.state;
  std::string text =
      text_of(settings.limits, settings.rmid_forced, settings.next_id, settings.cursor);
  for (const auto& [index, one] : registry.segments) {
    IpcPerm perm = one.segment.perm;
    if (one.live.removed) perm.mode |= abi::kShmDest;
    text += text_of(one.segment.id, perm, one.stamps, one.live.creator);
    text += Line()
                .add("size", one.segment.size_bytes)
                .add("ctime", one.segment.ctime)
                .add("cpid", PidRecord{one.segment.cpid, one.live.cpid_inner})
                .add("account", one.segment.account)
                .add("locked by", (perm.mode & abi::kShmLocked) != 0 ? one.segment.locked_by : 0)
                .add("opened", one.was_opened)
                .add("reserve", one.segment.reserve)
                .add("inode", one.segment.inode)
                .add("fd", one.live.fd)
                .add("name", one.live.name_key)
                .text();
  }
  return text;
}

/// What serves one set of segments, as far as the journal goes.
class JournalWorld {
 public:
  static constexpr IpcNamespaceId kFirst = 77;

  explicit JournalWorld(const Limits& limits = {})
      : resources_(features_),
        scope_(features_),
        machine(resources_, scope_),
        registries(machine, limits, kFirst),
        registry(*registries.initial()) {}

  void apply(const Change& change) { apply(registry, change); }
  static void apply(Registry& registry, const Change& change) {
    Dropped dropped;
    { registry.write().apply(change, dropped); }
    dropped.free();
  }
  std::shared_ptr<Segment> add(key_t key = 0, std::uint64_t size_bytes = 4096,
                               Registry* into = nullptr) {
    Registry& where = into == nullptr ? registry : *into;
    BackingRequest request;
    request.name = segment_name(key);
    request.size_bytes = size_bytes;
    auto memory = machine.create_memory(request);
    if (!memory) return nullptr;
    Dropped none;
    std::shared_ptr<Segment> segment;
    Registry::WriteGuard state = where.write();
    const auto free = state->next_id();
    if (!free) return nullptr;
    Segment::Creation creation;
    creation.id = free->id;
    creation.perm = {key, 1, 2, 3, 4, 0640};
    creation.size_bytes = size_bytes;
    creation.cpid = {41, nullptr};
    creation.creator = CreatorThread{40, 4711};
    creation.account = 5;
    creation.now_seconds = 1'000'000;
    segment = std::make_shared<Segment>(std::move(creation), std::move(*memory));
    state.apply(InsertSegment{*free, segment}, none);
    return segment;
  }

 private:
  KernelFeatures features_;
  MachineResources resources_;
  DescendantScope scope_;

 public:
  Machine machine;
  Registries registries;
  Registry& registry;
};

class JournalTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kAreaBytes = std::uint64_t{1} << 20;

  static std::unique_ptr<StateFile> new_file(std::uint64_t area_bytes = kAreaBytes) {
    auto made = StateFile::create(area_bytes);
    return made ? std::move(*made) : nullptr;
  }
  static journal::RecoveredState read(const StateFile& file) {
    auto state = journal::read_state(file);
    EXPECT_TRUE(state) << (state ? "" : state.error());
    return state ? std::move(*state) : journal::RecoveredState();
  }
  /// Empty where it can be read.
  static std::string trouble_with(const StateFile& file) {
    const auto state = journal::read_state(file);
    return state ? "" : state.error();
  }
  /// What the file has of the first registry.
  static std::string text_in(const StateFile& file,
                             IpcNamespaceId ipc_namespace = JournalWorld::kFirst) {
    const journal::RecoveredState state = read(file);
    for (const auto& [number, registry] : state.registries) {
      if (registry.settings.ipc_namespace == ipc_namespace) return text_of(registry);
    }
    return "none";
  }
};

}  // namespace shmvisor
