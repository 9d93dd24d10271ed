#include "supervisor/journal/recovered_state.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <variant>

#include "emulation/abi/shm_abi.h"
#include "emulation/ipc/id_table.h"

namespace shmvisor::journal {
namespace {

using saved::Trouble;

class Replay {
 public:
  explicit Replay(const StateFile& file) : file_(file) {}

  Result<RecoveredState, std::string> run() {
    const StateHeader& header = file_.header();
    if (header.incomplete.load() != 0) {
      return std::string("is incomplete: a change could not be written");
    }
    const std::uint64_t current = header.current.load() % 2;
    const AreaHeader& area = header.areas[current];
    const std::uint64_t committed = area.committed.load(std::memory_order_acquire);
    if (committed > header.area_bytes || area.checkpoint_bytes > committed) {
      return std::string("ends behind its area");
    }
    checkpoint_bytes_ = area.checkpoint_bytes;
    state_.next_number = area.first_number;
    const auto bytes = std::span<const std::byte>(file_.area(current)).first(committed);
    while (at_ < committed) {
      auto record = decode(bytes.subspan(at_));
      if (!record) return damaged(record.error());
      if (record->number != state_.next_number) return damaged("is another than belongs there");
      if (const auto placed = std::visit(*this, record->record); !placed) {
        return damaged(placed.error());
      }
      ++state_.next_number;
      at_ += record->bytes;
    }
    state_.committed_bytes = committed;
    if (const auto checked = check_whole(); !checked) return "is damaged: " + checked.error();
    return std::move(state_);
  }

  Result<void, Trouble> operator()(const RegistryChange& change) {
    state_.registries[change.registry].settings = change;
    return {};
  }

  Result<void, Trouble> operator()(SegmentChange& change) {
    const auto registry = state_.registries.find(change.registry);
    if (registry == state_.registries.end()) return Trouble("is of no registry");
    auto& segments = registry->second.segments;
    const int index = IdSpace::index_of(change.segment.id);
    const auto known = segments.find(index);
    const bool is_new = change.live.made || at_ < checkpoint_bytes_;
    if (is_new != (known == segments.end())) {
      return Trouble(is_new ? "makes a segment that is there"
                            : "is of a segment that is not there");
    }
    if (!is_new && known->second.segment.id != change.segment.id) {
      return Trouble("is of another segment than has its index");
    }
    saved::RegistryState& settings = registry->second.settings.state;
    if (change.live.made) settings.next_id = -1;
    if (change.live.moves_cycle) {
      settings.cursor = {index, IdSpace::seq_of(change.segment.id)};
    }
    RecoveredSegment& segment = segments[index];
    segment.segment = change.segment;
    segment.live = std::move(change.live);
    segment.offset_bytes = at_;
    return {};
  }

  Result<void, Trouble> operator()(const RemovalChange& change) {
    const auto registry = state_.registries.find(change.registry);
    if (registry == state_.registries.end()) return Trouble("is of no registry");
    if (change.id == -1) {
      state_.registries.erase(registry);
      return {};
    }
    auto& segments = registry->second.segments;
    const auto known = segments.find(IdSpace::index_of(change.id));
    if (known == segments.end() || known->second.segment.id != change.id) {
      return Trouble("removes a segment that is not there");
    }
    segments.erase(known);
    return {};
  }

  Result<void, Trouble> operator()(const CallDecision& decision) {
    state_.decisions.push_back(decision);
    return {};
  }

 private:
  [[nodiscard]] std::string damaged(const Trouble& trouble) const {
    return "is damaged: the record at byte " + std::to_string(at_) + " " + trouble;
  }

  /// What no record says alone; and the stamps, which are elsewhere.
  Result<void, Trouble> check_whole() {
    std::unordered_set<int> descriptors;
    std::unordered_set<std::uint32_t> stamps;
    for (auto& [number, registry] : state_.registries) {
      std::unordered_set<key_t> keys;
      for (auto& [index, segment] : registry.segments) {
        const std::string name = "segment " + std::to_string(segment.segment.id);
        if (!descriptors.insert(segment.live.fd).second) {
          return name + " has the descriptor of another";
        }
        const key_t key = segment.segment.perm.key;
        if (key != abi::kIpcPrivate && !keys.insert(key).second) {
          return name + " has the key of another";
        }
        if (segment.live.stamp == kNone) continue;
        if (!stamps.insert(segment.live.stamp).second) return name + " has the stamps of another";
        read_stamps(file_.stamps()[segment.live.stamp], segment);
      }
    }
    return {};
  }

  const StateFile& file_;
  RecoveredState state_;
  std::uint64_t checkpoint_bytes_ = 0;
  std::uint64_t at_ = 0;
};

}  // namespace

Result<RecoveredState, std::string> read_state(const StateFile& file) { return Replay(file).run(); }

void read_stamps(const StampPair& pair, RecoveredSegment& segment) {
  const Stamp& last = pair[0].number.load() > pair[1].number.load() ? pair[0] : pair[1];
  if (last.number.load() == 0) return;
  segment.stamps.atime = last.atime;
  segment.stamps.dtime = last.dtime;
  segment.stamps.lpid.pid = last.lpid;
  segment.was_opened = (last.flags & Stamp::kOpened) != 0;
  const std::size_t inner = std::min<std::size_t>(last.inner, Stamp::kMostInner);
  if (inner == 0) return;
  std::vector<PidRecord::Inner> levels;
  for (std::size_t i = 0; i < inner; ++i) {
    levels.push_back({last.inner_namespace[i], last.inner_pid[i]});
  }
  segment.stamps.lpid.inner = std::make_shared<const decltype(levels)>(std::move(levels));
}

}  // namespace shmvisor::journal
