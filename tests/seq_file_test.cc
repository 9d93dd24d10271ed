#include "emulation/abi/seq_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "emulation/abi/abi.h"

namespace shmvisor {
namespace {

/// A file of these records, and the positions that it was asked for.
struct Records {
  std::vector<std::string> all;
  std::vector<std::size_t> asked;
  std::size_t most_wanted = 0;
  std::size_t fails_at = 1000;

  SeqFile::Show show() {
    return [this](std::size_t position,
                  SeqFile::Wanted wanted) -> Result<std::optional<SeqFile::Record>> {
      asked.push_back(position);
      most_wanted = std::max(most_wanted, wanted.bytes);
      if (position == fails_at) return Errno(ENOMEM);
      while (position < all.size() && all[position].empty()) ++position;
      if (position >= all.size()) return std::optional<SeqFile::Record>();
      const std::string& text = all[position];
      return std::optional<SeqFile::Record>(
          {wanted.skipped ? std::string(text.size(), '?') : text, position + 1});
    };
  }
};

/// Record `i` of `count` is `size` bytes of its digit.
Records digits(std::size_t count, std::size_t size) {
  Records records;
  for (std::size_t i = 0; i < count; ++i) {
    records.all.emplace_back(size, static_cast<char>('0' + i % 10));
  }
  return records;
}

TEST(SeqFile, GivesAllThatFits) {
  Records records = digits(3, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 100), "000011112222");
  EXPECT_EQ(*file.read(12, 100), "");
}

TEST(SeqFile, GivesTheRestOfARecordFirst) {
  Records records = digits(3, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 1), "0");
  EXPECT_EQ(*file.read(1, 2), "00");
  EXPECT_EQ(*file.read(3, 2), "01") << "what is left, and of the next record what fits";
  EXPECT_EQ(*file.read(5, 100), "1112222");
  EXPECT_EQ(*file.read(12, 1), "");
}

TEST(SeqFile, MakesRecordsAsTheyAreNeeded) {
  Records records = digits(3, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 1), "0");
  EXPECT_EQ(records.asked, std::vector<std::size_t>({0}));
  EXPECT_EQ(*file.read(1, 3), "000");
  EXPECT_EQ(records.asked, std::vector<std::size_t>({0}));
  records.all[1] = "changed";
  EXPECT_EQ(*file.read(4, 7), "changed");
}

TEST(SeqFile, GivesNoMoreThanOnePageAtATime) {
  Records records = digits(10, 1000);
  SeqFile file(records.show());
  EXPECT_EQ(file.read(0, 100000)->size(), 4000U) << "whole records";
  EXPECT_EQ(file.read(4000, 100000)->size(), 4000U);
  EXPECT_EQ(file.read(8000, 100000)->size(), 2000U);
  EXPECT_EQ(file.read(10000, 100000)->size(), 0U);
}

TEST(SeqFile, ThinksAPageFullThatIsFullToTheLastByte) {
  Records records = digits(5, 1024);
  SeqFile file(records.show());
  EXPECT_EQ(file.read(0, 100000)->size(), 3072U);
}

TEST(SeqFile, AddsWhatIsLeftToAPage) {
  Records records = digits(10, 1000);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 100), std::string(100, '0'));
  EXPECT_EQ(file.read(100, 100000)->size(), 900U + 4000U);
}

TEST(SeqFile, BeginsAnewAtTheStart) {
  Records records = digits(3, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 6), "000011");
  EXPECT_EQ(*file.read(0, 6), "000011");
  EXPECT_EQ(records.asked, std::vector<std::size_t>({0, 1, 0, 1}));
}

TEST(SeqFile, WalksToAnotherOffset) {
  Records records = digits(3, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(5, 3), "111");
  EXPECT_EQ(records.asked.front(), 0U);
  EXPECT_EQ(*file.read(4, 2), "11");
  EXPECT_EQ(*file.read(8, 2), "22");
  EXPECT_EQ(*file.read(100, 2), "");
  EXPECT_EQ(*file.read(11, 2), "2");
}

TEST(SeqFile, GoesOverGaps) {
  Records records = digits(5, 4);
  records.all[1].clear();
  records.all[2].clear();
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 8), "00003333");
  EXPECT_EQ(*file.read(8, 100), "4444");
  EXPECT_EQ(*file.read(6, 3), "334");
}

TEST(SeqFile, AFailureIsToldWhenThereIsNothingElse) {
  Records records = digits(3, 4);
  records.fails_at = 2;
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 100), "00001111");
  EXPECT_EQ(file.read(8, 100).error(), Errno(ENOMEM));
  records.fails_at = 1000;
  EXPECT_EQ(*file.read(8, 100), "2222") << "and leaves the reader where it was";
  records.fails_at = 0;
  EXPECT_EQ(file.read(3, 100).error(), Errno(ENOMEM));
}

TEST(SeqFile, WantsNoMoreThanAPageAtATime) {
  Records records = digits(100, 100);
  SeqFile file(records.show());
  EXPECT_EQ(file.read(0, 1 << 20)->size(), 4000U);
  EXPECT_LE(records.most_wanted, kPageBytes);
}

TEST(SeqFile, AnswersARequestForNothingWithNothing) {
  Records records = digits(1, 4);
  SeqFile file(records.show());
  EXPECT_EQ(*file.read(0, 0), "");
  EXPECT_TRUE(records.asked.empty());
  EXPECT_EQ(*file.read(0, 4), "0000");
}

}  // namespace
}  // namespace shmvisor
