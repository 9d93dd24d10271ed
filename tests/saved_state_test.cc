// Files of `shmvisor save`: what is written is read back, and a file that is cut, altered or made
// up is refused.
#include <gtest/gtest.h>

#include <array>
#include <climits>

#include "emulation/abi/shm_abi.h"
#include "tests/saved_file.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

using saved::Contents;
using saved::End;
using saved::File;
using saved::Record;
using saved::Removal;
using saved::StateReader;

const Bytes kTwoPages(2 * kPageBytes, std::byte{7});

std::vector<Record> two_segments() {
  return {saved_head(), saved_registry(2), saved_segment(3, 0x77), Contents{3, 0, kTwoPages},
          saved_segment(65541)};
}

saved::SegmentState every_member_set() {
  saved::SegmentState segment;
  segment.id = (9 << 15) | 5;
  segment.perm = {INT_MIN, 1, 2, 3, 4, 0640 | abi::kShmLocked};
  segment.size_bytes = 123456;
  segment.page_bytes = kPageBytes;
  segment.reserve = false;
  segment.allocated_pages = 17;
  segment.inode = 99;
  segment.atime = -1;
  segment.dtime = 1'764'512'345;
  segment.ctime = INT64_MAX;
  segment.cpid = INT_MAX;
  segment.lpid = 12;
  segment.account = 1000;
  segment.locked_by = 1001;
  return segment;
}

/// Records one after another; fails the test where the file is not whole.
class Reading {
 public:
  explicit Reading(UniqueFd file) : reader_(std::move(file)) {}
  template <typename Kind>
  Kind next() {
    auto record = reader_.next();
    EXPECT_TRUE(record) << (record ? "" : record.error());
    if (!record || !*record || !std::holds_alternative<Kind>(**record)) {
      ADD_FAILURE() << "another record";
      return {};
    }
    return std::get<Kind>(**record);
  }
  bool at_end() {
    const auto record = reader_.next();
    return record && !*record;
  }

 private:
  StateReader reader_;
};

TEST(SavedStateTest, WhatIsWrittenIsReadBack) {
  saved::RegistryState registry = saved_registry(1);
  registry.limits = {1, UINT64_MAX, 32768};
  registry.rmid_forced = true;
  registry.next_id = INT_MAX;
  registry.cursor = {32767, 65534};
  registry.doomed = 5;
  const saved::SegmentState segment = every_member_set();
  Reading reading(
      file_of({saved_head(), registry, segment, Contents{segment.id, kPageBytes, kTwoPages}}));
  const auto head = reading.next<File>();
  EXPECT_STREQ(head.version, "0.1.0");
  EXPECT_EQ(head.saved_at, saved_head().saved_at);
  const auto read = reading.next<saved::RegistryState>();
  EXPECT_EQ(read.limits, registry.limits);
  EXPECT_TRUE(read.rmid_forced);
  EXPECT_EQ(read.next_id, INT_MAX);
  EXPECT_EQ(read.cursor, registry.cursor);
  EXPECT_EQ(read.doomed, 5U);
  const auto same = reading.next<saved::SegmentState>();
  EXPECT_EQ(same.id, segment.id);
  EXPECT_EQ(same.perm.key, INT_MIN);
  EXPECT_EQ(same.perm.uid, 1U);
  EXPECT_EQ(same.perm.gid, 2U);
  EXPECT_EQ(same.perm.cuid, 3U);
  EXPECT_EQ(same.perm.cgid, 4U);
  EXPECT_EQ(same.perm.mode, segment.perm.mode);
  EXPECT_EQ(same.size_bytes, segment.size_bytes);
  EXPECT_FALSE(same.huge);
  EXPECT_FALSE(same.reserve);
  EXPECT_EQ(same.allocated_pages, 17U);
  EXPECT_EQ(same.inode, 99U);
  EXPECT_EQ(same.atime, -1);
  EXPECT_EQ(same.dtime, segment.dtime);
  EXPECT_EQ(same.ctime, INT64_MAX);
  EXPECT_EQ(same.cpid, INT_MAX);
  EXPECT_EQ(same.lpid, 12);
  EXPECT_EQ(same.account, 1000U);
  EXPECT_EQ(same.locked_by, 1001U);
  const auto contents = reading.next<Contents>();
  EXPECT_EQ(contents.id, segment.id);
  EXPECT_EQ(contents.offset_bytes, kPageBytes);
  EXPECT_TRUE(std::ranges::equal(contents.bytes, kTwoPages));
  const auto end = reading.next<End>();
  EXPECT_EQ(end.segments, 1U);
  EXPECT_EQ(end.contents_bytes, kTwoPages.size());
  EXPECT_TRUE(reading.at_end());
  EXPECT_TRUE(reading.at_end()) << "and stays there";
}

TEST(SavedStateTest, HugePagesAreKnown) {
  saved::SegmentState huge = saved_segment(0, 0, (2 << 20) + 1);
  huge.huge = true;
  huge.page_bytes = 2 << 20;
  EXPECT_EQ(huge.mapped_bytes(), 4U << 20);
  EXPECT_EQ(trouble_with(file_of({saved_head(), saved_registry(1), huge})), "");
  huge.page_bytes = kPageBytes;
  EXPECT_NE(trouble_with(file_of({saved_head(), saved_registry(1), huge})), "");
  huge.page_bytes = 3 << 20;
  EXPECT_NE(trouble_with(file_of({saved_head(), saved_registry(1), huge})), "");
}

// The bytes, so that a later version reads what this one wrote: they change with the layout's
// number alone.
TEST(SavedStateTest, TheBytesAreTheseForGood) {
  const Bytes bytes = bytes_of(file_of(two_segments()));
  ASSERT_EQ(bytes.size(), 24U + 48 + 24 + 48 + 24 + 104 + 24 + 16 + 8192 + 24 + 104 + 24 + 16);
  const auto number = [&bytes](std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, &bytes[at], sizeof(value));
    return value;
  };
  EXPECT_EQ(number(0), 0x524d4853U);
  EXPECT_EQ(number(4), 0x00010001U) << "kind and layout";
  EXPECT_EQ(number(8), 48U);
  EXPECT_EQ(number(24), 0x01020304U);
  EXPECT_EQ(number(28), kPageBytes);
  EXPECT_EQ(number(168), 3U) << "the first segment";
  EXPECT_EQ(number(172), 0x77U);
  EXPECT_EQ(number(24 + 48 + 12), 0x4ea79cdbU) << "as zlib.crc32 of Python has it";
}

TEST(SavedStateTest, ACutFileIsRefusedWhereverItIsCut) {
  const Bytes whole = bytes_of(file_of(two_segments()));
  ASSERT_EQ(trouble_with(file_with(whole)), "");
  for (std::size_t length = 0; length < whole.size(); length += length < 320 ? 1 : 61) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    const std::string trouble = trouble_with(file_with(cut));
    EXPECT_TRUE(trouble.starts_with("is cut") || (length < 4 && trouble == "is no saved registry"))
        << length << ": " << trouble;
  }
}

TEST(SavedStateTest, AnyAlteredBitIsFound) {
  const Bytes whole = bytes_of(file_of(two_segments()));
  for (std::size_t at = 0; at < whole.size(); at += at < 320 ? 1 : 37) {
    Bytes altered = whole;
    altered[at] ^= std::byte{1} << (at % 8);
    EXPECT_NE(trouble_with(file_with(altered)), "") << at;
  }
}

TEST(SavedStateTest, NothingMayFollowTheEnd) {
  Bytes more = bytes_of(file_of(two_segments()));
  more.push_back(std::byte{0});
  EXPECT_NE(trouble_with(file_with(more)).find("behind its end"), std::string::npos);
}

TEST(SavedStateTest, RecordsOfTwoFilesAreNotOne) {
  const Bytes one = bytes_of(file_of({saved_head(), saved_registry(1), saved_segment(1)}));
  Bytes other = bytes_of(file_of({saved_head(), saved_registry(1), saved_segment(2)}));
  ASSERT_EQ(one.size(), other.size());
  const std::size_t at_segment = 24 + 48 + 24 + 48;
  std::copy_n(one.begin() + at_segment, 24 + 104, other.begin() + at_segment);
  EXPECT_NE(trouble_with(file_with(other)).find("the end of another file"), std::string::npos);
}

TEST(SavedStateTest, ARemovedSegmentIsNotCounted) {
  auto records = two_segments();
  records.emplace_back(Removal{3});
  EXPECT_EQ(trouble_with(file_of(records)), "");
  records.emplace_back(Removal{3});
  EXPECT_NE(trouble_with(file_of(records)), "") << "twice";
  EXPECT_NE(trouble_with(file_of({saved_head(), saved_registry(0), Removal{0}})), "");
}

/// What is in the record of a segment; the rest of the file is right.
std::string trouble_with_segment(const saved::SegmentState& segment) {
  return trouble_with(file_of({saved_head(), saved_registry(1), segment}));
}

TEST(SavedStateTest, ASegmentThatCannotBeIsRefused) {
  EXPECT_EQ(trouble_with_segment(every_member_set()), "");
  const auto refused = [](const auto& change) {
    saved::SegmentState segment = saved_segment(0);
    change(segment);
    return trouble_with_segment(segment);
  };
  EXPECT_NE(refused([](auto& one) { one.id = -1; }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.mode = 0600 | abi::kShmDest; }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.mode = 0100600; }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.uid = uid_t(-1); }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.cuid = uid_t(-1); }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.gid = gid_t(-1); }), "");
  EXPECT_NE(refused([](auto& one) { one.perm.cgid = gid_t(-1); }), "");
  EXPECT_NE(refused([](auto& one) { one.account = uid_t(-1); }), "");
  EXPECT_NE(refused([](auto& one) { one.size_bytes = 0; }), "");
  EXPECT_NE(refused([](auto& one) { one.page_bytes = 0; }), "");
  EXPECT_NE(refused([](auto& one) { one.page_bytes = 1 << 21; }), "");
  EXPECT_NE(refused([](auto& one) { one.cpid = -1; }), "");
  EXPECT_NE(refused([](auto& one) { one.lpid = INT_MIN; }), "");
  EXPECT_EQ(refused([](auto& one) { one.size_bytes = UINT64_MAX; }), "") << "limits say that";
}

TEST(SavedStateTest, ARegistryThatCannotBeIsRefused) {
  const auto refused = [](const auto& change) {
    saved::RegistryState registry = saved_registry(0);
    change(registry);
    return trouble_with(file_of({saved_head(), registry}));
  };
  EXPECT_EQ(refused([](auto&) {}), "");
  EXPECT_NE(refused([](auto& one) { one.limits.shmmni = 32769; }), "");
  EXPECT_NE(refused([](auto& one) { one.next_id = -2; }), "");
  EXPECT_NE(refused([](auto& one) { one.cursor.last_index = 32768; }), "");
  EXPECT_NE(refused([](auto& one) { one.cursor.last_index = -2; }), "");
  EXPECT_NE(refused([](auto& one) { one.cursor.seq = 65535; }), "");
  EXPECT_NE(refused([](auto& one) { one.cursor.seq = -1; }), "");
  EXPECT_NE(refused([](auto& one) { one.segments = 32769; }), "");
  EXPECT_NE(refused([](auto& one) { one.segments = 1; }), "") << "which does not come";
}

TEST(SavedStateTest, RecordsMustFitOneAnother) {
  const auto refused = [](std::vector<Record> records) { return trouble_with(file_of(records)); };
  EXPECT_NE(refused({}), "");
  EXPECT_NE(refused({saved_registry(0)}), "");
  EXPECT_NE(refused({saved_head()}), "");
  EXPECT_NE(refused({saved_head(), saved_segment(0)}), "");
  EXPECT_NE(refused({saved_head(), saved_head(), saved_registry(0)}), "");
  EXPECT_NE(refused({saved_head(), saved_registry(0), saved_registry(0)}), "");
  EXPECT_NE(refused({saved_head(), saved_registry(0), saved_segment(0)}), "") << "one too many";
  EXPECT_NE(refused({saved_head(), saved_registry(2), saved_segment(5), saved_segment(5)}), "");
  EXPECT_NE(refused({saved_head(), saved_registry(2), saved_segment(5), saved_segment(4)}), "");
  const int same_index = (1 << 15) | 5;
  EXPECT_NE(refused({saved_head(), saved_registry(2), saved_segment(5), saved_segment(same_index)}),
            "");
  EXPECT_NE(refused({saved_head(), saved_registry(2), saved_segment(1, 7), saved_segment(2, 7)}),
            "");
  EXPECT_EQ(refused({saved_head(), saved_registry(2), saved_segment(1), saved_segment(2)}), "");
  File other_pages = saved_head();
  other_pages.page_bytes = 65536;
  EXPECT_NE(refused({other_pages, saved_registry(0)}).find("pages of 65536 bytes"),
            std::string::npos);
}

TEST(SavedStateTest, ContentsMustBeOfTheirSegment) {
  const auto refused = [](const std::vector<Contents>& contents) {
    std::vector<Record> records{saved_head(), saved_registry(1), saved_segment(3)};
    records.insert(records.end(), contents.begin(), contents.end());
    return trouble_with(file_of(records));
  };
  const std::span<const std::byte> pages(kTwoPages);
  const auto page = pages.first(kPageBytes);
  EXPECT_EQ(refused({Contents{3, 0, page}, Contents{3, 2 * kPageBytes, page}}), "");
  EXPECT_NE(refused({Contents{4, 0, page}}), "");
  EXPECT_NE(refused({Contents{3, 3 * kPageBytes, page}}), "") << "behind its end";
  EXPECT_NE(refused({Contents{3, 2 * kPageBytes, pages}}), "") << "half behind its end";
  EXPECT_NE(refused({Contents{3, UINT64_MAX / kPageBytes * kPageBytes, page}}), "");
  EXPECT_NE(refused({Contents{3, 0, pages}, Contents{3, kPageBytes, page}}), "") << "twice";
  EXPECT_NE(refused({Contents{3, 8, page}}), "");
  EXPECT_NE(refused({Contents{3, 0, page.first(100)}}), "");
  EXPECT_NE(refused({Contents{3, 0, {}}}), "");
  EXPECT_NE(trouble_with(file_of({saved_head(), saved_registry(1), Contents{0, 0, page}})), "");
}

TEST(SavedStateTest, ALengthThatIsALieTakesNoMemory) {
  Bytes bytes = bytes_of(file_of(two_segments()));
  const std::size_t contents_at = 24 + 48 + 24 + 48 + 24 + 104;
  const std::uint32_t lie = UINT32_MAX;
  std::memcpy(&bytes[contents_at + 8], &lie, sizeof(lie));
  EXPECT_NE(trouble_with(file_with(bytes)).find("no whole pages"), std::string::npos);
}

TEST(SavedStateTest, OnlyARegularFileIsOpened) {
  const ScratchFolder folder;
  const std::string fifo = folder.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, folder.path(""), std::string("/dev/zero")}) {
    const auto opened = StateReader::open(path);
    EXPECT_FALSE(opened) << path;
  }
  const auto missing = StateReader::open(folder.path("none"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), "cannot be read: No such file or directory");
}

}  // namespace
}  // namespace shmvisor
