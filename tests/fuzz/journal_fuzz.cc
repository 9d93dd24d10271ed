// States that claim to be those of a shmvisor: records of any kind and contents, most with a
// checksum that fits, one after the other, behind a commit that may be anywhere. What is handed out
// keeps to what a registry can have.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/journal/change_layout.h"
#include "supervisor/journal/recovered_state.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;
using namespace shmvisor::journal;

constexpr std::size_t kMostRecords = 24;
constexpr std::uint64_t kAreaBytes = std::uint64_t{1} << 16;

template <typename Layout>
void add_layout(FuzzInput& input, std::vector<std::byte>& bytes, Layout layout) {
  std::span<std::byte> own = std::as_writable_bytes(std::span(&layout, 1));
  const std::size_t changes = input.below(8) == 0 ? input.below(4) : 0;
  for (std::size_t i = 0; i < changes; ++i) {
    own[input.below(own.size())] = std::byte{input.take<std::uint8_t>()};
  }
  bytes.insert(bytes.end(), own.begin(), own.end());
}

class Making {
 public:
  explicit Making(FuzzInput& input) : input_(input) {}

  std::vector<std::byte> area() {
    for (std::size_t i = 0; i < kMostRecords && !input_.empty(); ++i) add_any();
    return std::move(bytes_);
  }

 private:
  void add_any() {
    std::vector<std::byte> payload;
    const PlaceLayout place{static_cast<std::uint32_t>(input_.below(2)), 0};
    const auto id = static_cast<int>(input_.below(4) + (input_.below(3) << IdSpace::kIndexBits));
    switch (input_.below(5)) {
      case 0: {
        saved::RegistryLayout registry;
        registry.last_index = -1;
        registry.next_id = -1;
        add_layout(input_, payload, place);
        add_layout(input_, payload, registry);
        add_layout(input_, payload, LiveRegistryLayout{7, 0, 0});
        return add(saved::RecordKind::kRegistry, kLayout, payload);
      }
      case 1:
      case 2: {
        saved::SegmentLayout segment;
        segment.id = id;
        segment.key = static_cast<std::int32_t>(input_.below(3));
        segment.mode = 0600;
        segment.size_bytes = 1 + input_.below(256) * 64;
        segment.page_bytes = kPageBytes;
        LiveSegmentLayout live;
        live.fd = static_cast<int>(input_.below(8));
        live.flags = static_cast<std::uint32_t>(input_.below(32));
        live.stamp = static_cast<std::uint32_t>(input_.below(8));
        live.inner = static_cast<std::uint32_t>(input_.below(3));
        add_layout(input_, payload, place);
        add_layout(input_, payload, segment);
        add_layout(input_, payload, live);
        for (std::uint32_t i = 0; i < live.inner; ++i) {
          add_layout(input_, payload, InnerPidLayout{1, 2, 0});
        }
        return add(saved::RecordKind::kSegment, kLayout, payload);
      }
      case 3:
        add_layout(input_, payload, place);
        add_layout(input_, payload, saved::RemovalLayout{input_.below(8) == 0 ? -1 : id, 0});
        return add(saved::RecordKind::kRemoval, kLayout, payload);
      default:
        add_layout(input_, payload, CallDecisionLayout{1, 0, 2, 3});
        return add(kCallDecision, 1, payload);
    }
  }

  void add(saved::RecordKind kind, std::uint16_t layout, const std::vector<std::byte>& payload) {
    saved::RecordHeader header;
    header.kind = static_cast<std::uint16_t>(kind);
    header.layout = layout;
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header.number = number_++;
    if (input_.below(64) == 0) header.payload_bytes = input_.take<std::uint32_t>();
    header.checksum = saved::checksum_of(header, payload);
    if (input_.below(64) == 0) header.checksum ^= 1;
    const auto header_bytes = std::as_bytes(std::span(&header, 1));
    bytes_.insert(bytes_.end(), header_bytes.begin(), header_bytes.end());
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  }

  FuzzInput& input_;
  std::vector<std::byte> bytes_;
  std::uint64_t number_ = 0;
};

void check(const RecoveredState& state) {
  std::set<int> descriptors;
  for (const auto& [number, registry] : state.registries) {
    FUZZ_EXPECT(registry.settings.registry == number);
    std::set<key_t> keys;
    for (const auto& [index, segment] : registry.segments) {
      FUZZ_EXPECT(segment.segment.id >= 0 && IdSpace::index_of(segment.segment.id) == index);
      FUZZ_EXPECT(segment.live.fd >= 0 && descriptors.insert(segment.live.fd).second);
      const key_t key = segment.segment.perm.key;
      FUZZ_EXPECT(key == 0 || keys.insert(key).second);
      FUZZ_EXPECT(segment.segment.size_bytes != 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = std::move(*StateFile::create(kAreaBytes));
  FuzzInput input(data, size);
  AreaHeader& header = file->header().areas[0];
  header.committed.store(0);
  const std::uint64_t off = input.below(16) == 0 ? input.below(64) : 0;
  const std::vector<std::byte> bytes = Making(input).area();
  std::ranges::copy(bytes, file->area(0).begin());
  header.checkpoint_bytes = input.below(4) == 0 ? bytes.size() : 0;
  header.committed.store(bytes.size() - std::min<std::uint64_t>(off, bytes.size()));
  const auto state = read_state(*file);
  if (!state) FUZZ_EXPECT(!state.error().empty());
  if (state) check(*state);
  return 0;
}
