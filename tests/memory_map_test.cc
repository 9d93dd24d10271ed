#include "supervisor/attaches/memory_map.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "emulation/abi/abi.h"
#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPage = kPageBytes;

std::uint64_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

/// With PROCMAP_QUERY where the kernel has it, and by the text of /proc/PID/maps.
class MemoryMapTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) features_.mark_absent(KernelFeature::kProcmapQuery);
    file_.reset(::memfd_create("a name with spaces 1-2 rw-p 0 00:00 7", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file_.get(), 16 * kPage), 0);
    struct stat status {};
    ASSERT_EQ(::fstat(file_.get(), &status), 0);
    identity_ = {status.st_dev, status.st_ino};
    // Ten pages that are nothing, to lay things out in.
    field_ = static_cast<char*>(
        ::mmap(nullptr, 10 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(field_, MAP_FAILED);
  }
  void TearDown() override {
    ::munmap(field_, 10 * kPage);
    if (GetParam() && !features_.usable(KernelFeature::kProcmapQuery)) {
      GTEST_SKIP() << "no PROCMAP_QUERY: this ran the fallback a second time";
    }
  }

  void map_file(std::size_t page, std::size_t pages, std::size_t file_page,
                int protection = PROT_READ) {
    ASSERT_NE(::mmap(field_ + page * kPage, pages * kPage, protection, MAP_SHARED | MAP_FIXED,
                     file_.get(), static_cast<off_t>(file_page * kPage)),
              MAP_FAILED);
  }
  std::uint64_t at(std::size_t page) { return number(field_) + page * kPage; }
  std::optional<MappedArea> above(std::uint64_t address, bool files_only = true) {
    auto map = MemoryMap::open(getpid(), features_);
    EXPECT_TRUE(map);
    const auto area = map->area_above(address, files_only ? Areas::kFiles : Areas::kAll);
    EXPECT_TRUE(area);
    return *area;
  }

  KernelFeatures features_;
  UniqueFd file_;
  FileIdentity identity_;
  char* field_ = nullptr;
};

TEST_P(MemoryMapTest, OneMapping) {
  map_file(2, 3, 5);
  for (const std::uint64_t address : {at(0), at(2), at(2) + 1, at(5) - 1}) {
    const auto area = above(address);
    ASSERT_TRUE(area);
    EXPECT_EQ(area->range, (AddressRange{at(2), 3 * kPage}));
    EXPECT_EQ(area->file_offset_bytes, 5 * kPage);
    EXPECT_EQ(area->file, identity_);
  }
  const auto behind = above(at(5));
  EXPECT_TRUE(!behind || behind->file != identity_) << "its end lies not above its end";
}

TEST_P(MemoryMapTest, FragmentsAreAreasOfTheirOwn) {
  map_file(1, 4, 0, PROT_READ | PROT_WRITE);
  ASSERT_EQ(::mprotect(field_ + 2 * kPage, kPage, PROT_READ), 0);
  ASSERT_EQ(::munmap(field_ + 3 * kPage, kPage), 0);
  EXPECT_EQ(above(at(1))->range, (AddressRange{at(1), kPage}));
  EXPECT_EQ(above(at(2))->range, (AddressRange{at(2), kPage}));
  EXPECT_EQ(above(at(2))->file_offset_bytes, kPage);
  EXPECT_EQ(above(at(3))->range, (AddressRange{at(4), kPage}));
  EXPECT_EQ(above(at(3))->file_offset_bytes, 3 * kPage);
}

TEST_P(MemoryMapTest, FilesOnlyOrAnything) {
  map_file(5, 1, 0);
  EXPECT_EQ(above(at(0), true)->range.start, at(5));
  const auto anything = above(at(0), false);
  ASSERT_TRUE(anything);
  EXPECT_LE(anything->range.start, at(0)) << "the nothing before it is a mapping, too";
  EXPECT_EQ(anything->range.end(), at(5));
  EXPECT_EQ(anything->file, FileIdentity());
}

TEST_P(MemoryMapTest, NothingAboveTheLast) { EXPECT_FALSE(above(UINT64_MAX)); }

TEST_P(MemoryMapTest, AWalkFindsEveryMappingOnceInOrder) {
  for (std::size_t page = 0; page < 10; page += 2) map_file(page, 1, page);
  auto map = MemoryMap::open(getpid(), features_);
  ASSERT_TRUE(map);
  std::vector<std::uint64_t> starts;
  std::uint64_t cursor = 0;
  for (int count = 0; count < 100000; ++count) {
    const auto area = map->area_above(cursor, Areas::kFiles);
    ASSERT_TRUE(area);
    if (!*area) break;
    ASSERT_GT((*area)->range.end(), cursor);
    cursor = (*area)->range.end();
    if ((*area)->file == identity_) starts.push_back((*area)->range.start);
  }
  EXPECT_EQ(starts, (std::vector<std::uint64_t>{at(0), at(2), at(4), at(6), at(8)}));
}

TEST_P(MemoryMapTest, StepsFindWhatAWalkFinds) {
  for (std::size_t page = 0; page < 10; page += 2) map_file(page, 1, page);
  auto map = MemoryMap::open(getpid(), features_);
  ASSERT_TRUE(map);
  std::vector<MappedArea> walked;
  for (std::uint64_t cursor = 0;;) {
    const auto area = map->area_above(cursor, Areas::kShared);
    ASSERT_TRUE(area);
    if (!*area) break;
    walked.push_back(**area);
    cursor = (*area)->range.end();
  }
  const auto again = MemoryMap::open(getpid(), features_);
  ASSERT_TRUE(again);
  MapsText text = again->text();
  std::vector<MapsText::Area> areas;
  for (;;) {
    const auto more = text.read_on(true, areas);
    ASSERT_TRUE(more);
    if (!*more) break;
  }
  std::vector<MappedArea> read;
  for (const MapsText::Area& area : areas) read.push_back(area.area);
  EXPECT_EQ(read, walked);
  EXPECT_GE(read.size(), 5U);
}

TEST_P(MemoryMapTest, AnotherProcess) {
  map_file(3, 2, 7);
  Gate ready;
  Child child([&] {
    ::munmap(field_ + 3 * kPage, kPage);
    ready.open();
    return ::pause();
  });
  ASSERT_TRUE(ready.pass());
  auto map = MemoryMap::open(child.pid(), features_);
  ASSERT_TRUE(map);
  const auto area = map->area_above(at(3), Areas::kFiles);
  ASSERT_TRUE(area && *area);
  EXPECT_EQ((*area)->range, (AddressRange{at(4), kPage}));
  EXPECT_EQ((*area)->file_offset_bytes, 8 * kPage);
}

TEST_P(MemoryMapTest, AProcessThatIsGone) {
  Child child([] { return ::pause(); });
  auto map = MemoryMap::open(child.pid(), features_);
  ASSERT_TRUE(map);
  ::kill(child.pid(), SIGKILL);
  ASSERT_TRUE(child.wait(0));
  const auto area = map->area_above(0, Areas::kFiles);
  EXPECT_TRUE(!area || !*area) << "no memory is left";
  const auto gone = MemoryMap::open(child.pid(), features_);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error(), Errno(ESRCH));
}

TEST(MapsTextTest, LinesThatLieAcrossSteps) {
  constexpr int kLines = 1000;
  UniqueFd file(::memfd_create("maps", MFD_CLOEXEC));
  for (int i = 0; i < kLines; ++i) {
    const std::string line = std::to_string(10000 + i) + "000-" + std::to_string(10000 + i) +
                             "fff " + (i % 3 == 0 ? "rw-s" : "r--p") + " 2a 08:01 7 /a rw-s name" +
                             std::string(static_cast<std::size_t>(i % 50), 'x') + "\n";
    ASSERT_EQ(::write(file.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  for (const bool shared_only : {true, false}) {
    ASSERT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    MapsText text(file.get());
    std::vector<MapsText::Area> areas;
    int steps = 0;
    for (;; ++steps) {
      const auto more = text.read_on(shared_only, areas);
      ASSERT_TRUE(more);
      if (!*more) break;
    }
    EXPECT_GT(steps, 2);
    ASSERT_EQ(areas.size(), shared_only ? (kLines + 2) / 3 : kLines);
    const MappedArea& last = areas.back().area;
    EXPECT_EQ(last.range, (AddressRange{0x10999000, 0xfff}));
    EXPECT_EQ(last.file_offset_bytes, 0x2aU);
    EXPECT_EQ(last.file, (FileIdentity{makedev(8, 1), 7}));
    EXPECT_EQ(last.access, (Access{true, true, false}));
    EXPECT_TRUE(areas.back().shared);
  }
}

TEST(MapsTextTest, WhatIsNoMapping) {
  for (const char* line : {"", "-", "1-2", "1-2 rw-s", "1-2 rw-s 0 08:01", "1-2 rw-s 0 08:01 x"}) {
    EXPECT_FALSE(MapsText::parse(line)) << line;
  }
  EXPECT_TRUE(MapsText::parse("1-2 rw-s 0 08:01 0"));
}

INSTANTIATE_TEST_SUITE_P(QueryAndText, MemoryMapTest, ::testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Query" : "Text"; });

}  // namespace
}  // namespace shmvisor
