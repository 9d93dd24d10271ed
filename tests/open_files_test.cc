#include "supervisor/procfiles/open_files.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace shmvisor {
namespace {

class OneByte : public OpenFile {
 public:
  explicit OneByte(char byte) : byte_(byte) {}
  Result<std::string> read(std::uint64_t /*offset*/, std::size_t /*size*/) override {
    return std::string(1, byte_);
  }
  Result<std::size_t> write(std::string_view /*bytes*/, std::uint64_t /*offset*/,
                            Reader& /*writer*/) override {
    return Errno(EIO);
  }

 private:
  const char byte_;
};

Result<std::uint64_t> open(OpenFiles& files, uid_t user, char byte = 'x') {
  return files.add(user, std::make_unique<OneByte>(byte));
}

Result<std::string> read(OpenFiles& files, std::uint64_t handle) {
  return files.with(handle, [](OpenFile& file) { return file.read(0, 1); });
}

TEST(OpenFiles, AreFoundByTheirHandlesUntilTheyAreRemoved) {
  OpenFiles files(std::make_shared<OpenFileShares>());
  const auto one = open(files, 1, 'a');
  const auto other = open(files, 1, 'b');
  ASSERT_TRUE(one && other);
  EXPECT_NE(*one, *other);
  EXPECT_EQ(*read(files, *one), "a");
  EXPECT_EQ(*read(files, *other), "b");
  files.remove(*one);
  files.remove(*one);
  EXPECT_EQ(read(files, *one).error(), Errno(EIO));
  EXPECT_EQ(*read(files, *other), "b");
  EXPECT_EQ(read(files, 12345).error(), Errno(EIO));
}

TEST(OpenFiles, NobodyTakesThemAll) {
  OpenFiles files(std::make_shared<OpenFileShares>());
  std::vector<std::uint64_t> first;
  while (const auto handle = open(files, 1)) first.push_back(*handle);
  EXPECT_EQ(first.size(), OpenFileShares::kMost / 2);
  EXPECT_EQ(open(files, 1).error(), Errno(ENFILE));
  std::size_t second = 0;
  while (open(files, 2)) ++second;
  EXPECT_EQ(second, OpenFileShares::kMost / 4);
  EXPECT_TRUE(open(files, 3)) << "there is always something for another";
  for (const std::uint64_t handle : first) files.remove(handle);
  EXPECT_TRUE(open(files, 1)) << "what is closed is free again";
}

/// One process after another: no number comes twice, and each knows which are its own.
TEST(OpenFiles, HaveTheirMarksAndNumbersAlsoInTheNextProcess) {
  std::atomic<std::uint64_t> last{0};
  const std::uint32_t inner = OpenFiles::mark_for(0xf0000010);
  std::uint64_t former = 0;
  {
    OpenFiles files(std::make_shared<OpenFileShares>());
    files.number_by(last);
    former = *files.add(1, std::make_unique<OneByte>('a'), inner);
    EXPECT_FALSE(files.is_older(former));
  }
  OpenFiles files(std::make_shared<OpenFileShares>());
  files.number_by(last);
  EXPECT_TRUE(files.is_older(former));
  EXPECT_EQ(OpenFiles::mark_of(former), inner);
  const std::uint64_t own = *files.add(1, std::make_unique<OneByte>('b'), 0);
  EXPECT_FALSE(files.is_older(own));
  EXPECT_EQ(OpenFiles::mark_of(own), 0U);
  EXPECT_EQ(read(files, former).error(), Errno(EIO));
  files.revive(former, 1, [] { return std::make_unique<OneByte>('c'); });
  EXPECT_EQ(*read(files, former), "c");
}

TEST(OpenFiles, HaveMarksForAllNamespaces) {
  EXPECT_EQ(OpenFiles::mark_for(0), 0U);
  for (const std::uint64_t inode : {0xefffffffULL, 0xf0000000ULL, 0xffffffffULL}) {
    EXPECT_NE(OpenFiles::mark_for(inode), 0U);
    EXPECT_NE(OpenFiles::mark_for(inode), OpenFiles::kNoMark);
  }
  EXPECT_EQ(OpenFiles::mark_for(5), OpenFiles::kNoMark);
  EXPECT_EQ(OpenFiles::mark_for(0x100000000ULL), OpenFiles::kNoMark);
}

TEST(OpenFiles, OfAllMountsAreCountedTogether) {
  const auto shares = std::make_shared<OpenFileShares>();
  OpenFiles one(shares);
  auto other = std::make_unique<OpenFiles>(shares);
  while (open(*other, 1)) {
  }
  EXPECT_EQ(open(one, 1).error(), Errno(ENFILE));
  EXPECT_TRUE(open(one, 2));
  other.reset();
  EXPECT_TRUE(open(one, 1)) << "what was open in a mount goes with it";
}

}  // namespace
}  // namespace shmvisor
