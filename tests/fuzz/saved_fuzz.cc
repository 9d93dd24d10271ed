// Files that claim to be saved registries: records of any kind, length and contents, most with a
// checksum that fits, one after the other. What is handed out keeps to what a registry can have.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/saved/state_reader.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;
using namespace shmvisor::saved;

constexpr std::size_t kMostRecords = 24;

/// Any numbers, most of them small: what a field of each kind takes for granted.
template <typename Layout>
void fill(FuzzInput& input, Layout& layout) {
  std::span<std::byte> bytes = std::as_writable_bytes(std::span(&layout, 1));
  const std::size_t changes = input.below(4);
  for (std::size_t i = 0; i < changes; ++i) {
    bytes[input.below(bytes.size())] = std::byte{input.take<std::uint8_t>()};
  }
}

template <typename Layout>
std::vector<std::byte> payload_of(FuzzInput& input, Layout layout) {
  fill(input, layout);
  const auto bytes = std::as_bytes(std::span(&layout, 1));
  return {bytes.begin(), bytes.end()};
}

class Making {
 public:
  explicit Making(FuzzInput& input) : input_(input) {}

  std::vector<std::byte> file() {
    add(RecordKind::kFile, payload_of(input_, head()));
    RegistryLayout registry;
    registry.segments = static_cast<std::uint32_t>(input_.below(4));
    registry.last_index = -1;
    registry.next_id = -1;
    add(RecordKind::kRegistry, payload_of(input_, registry));
    for (std::size_t i = 0; i < kMostRecords && !input_.empty(); ++i) add_any();
    add(RecordKind::kEnd, payload_of(input_, end_));
    if (input_.below(8) == 0) bytes_.resize(bytes_.size() - input_.below(40));
    return std::move(bytes_);
  }

 private:
  static FileLayout head() {
    FileLayout layout;
    layout.page_bytes = kPageBytes;
    layout.version[0] = '1';
    return layout;
  }

  void add_any() {
    switch (input_.below(4)) {
      case 0: {
        SegmentLayout segment;
        segment.id = id_ += static_cast<int>(input_.below(3));
        segment.key = static_cast<std::int32_t>(input_.below(3));
        segment.mode = 0600;
        segment.size_bytes = 1 + input_.below(256) * 64;
        segment.page_bytes = kPageBytes;
        ++end_.segments;
        return add(RecordKind::kSegment, payload_of(input_, segment));
      }
      case 1: {
        ContentsLayout contents;
        contents.id = id_;
        contents.offset_bytes = input_.below(5) * kPageBytes;
        auto payload = payload_of(input_, contents);
        payload.resize(payload.size() + (1 + input_.below(2)) * kPageBytes);
        end_.contents_bytes += payload.size() - sizeof(ContentsLayout);
        return add(RecordKind::kContents, std::move(payload));
      }
      case 2: {
        --end_.segments;
        return add(RecordKind::kRemoval,
                   payload_of(input_, RemovalLayout{static_cast<int>(input_.below(8)), 0}));
      }
      default:
        return add(static_cast<RecordKind>(input_.below(9)),
                   std::vector<std::byte>(input_.below(128)));
    }
  }

  void add(RecordKind kind, const std::vector<std::byte>& payload) {
    RecordHeader header;
    header.kind = static_cast<std::uint16_t>(kind);
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header.number = number_++;
    if (input_.below(64) == 0) fill(input_, header);
    header.checksum = checksum_of(header, payload);
    end_.checksum = add_checksum(end_.checksum, header.checksum);
    if (input_.below(64) == 0) header.checksum ^= 1;
    const auto header_bytes = std::as_bytes(std::span(&header, 1));
    bytes_.insert(bytes_.end(), header_bytes.begin(), header_bytes.end());
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  }

  FuzzInput& input_;
  std::vector<std::byte> bytes_;
  std::uint64_t number_ = 0;
  EndLayout end_;
  int id_ = 0;
};

void check(const SegmentState& segment, std::set<int>& indices, std::set<key_t>& keys) {
  FUZZ_EXPECT(segment.id >= 0 && indices.insert(IdSpace::index_of(segment.id)).second);
  FUZZ_EXPECT(segment.perm.key == 0 || keys.insert(segment.perm.key).second);
  FUZZ_EXPECT((segment.perm.mode & ~mode_t{02777}) == 0);
  FUZZ_EXPECT(segment.size_bytes != 0 && segment.page_bytes >= kPageBytes);
  FUZZ_EXPECT(segment.mapped_bytes() % segment.page_bytes == 0);
}

/// Whether it is whole.
bool read_all(StateReader& reader) {
  std::set<int> indices;
  std::set<key_t> keys;
  std::optional<SegmentState> last;
  for (std::size_t records = 0;; ++records) {
    FUZZ_EXPECT(records < kMostRecords + 4);
    const auto record = reader.next();
    if (!record) {
      FUZZ_EXPECT(!record.error().empty());
      return false;
    }
    if (!*record) return true;
    if (const auto* segment = std::get_if<SegmentState>(&**record)) {
      check(*segment, indices, keys);
      last = *segment;
    }
    if (const auto* contents = std::get_if<Contents>(&**record)) {
      FUZZ_EXPECT(last && contents->id == last->id && !contents->bytes.empty());
      FUZZ_EXPECT(contents->offset_bytes + contents->bytes.size() <= last->mapped_bytes());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const UniqueFd file(::memfd_create("saved", MFD_CLOEXEC));
  FuzzInput input(data, size);
  const std::vector<std::byte> bytes = Making(input).file();
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
      ::lseek(file.get(), 0, SEEK_SET) != 0) {
    std::abort();
  }
  StateReader reader{UniqueFd(::dup(file.get()))};
  (void)read_all(reader);
  return 0;
}
