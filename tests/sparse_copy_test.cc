// Holes stay holes, and what was in a file before does not shine through.
#include "supervisor/client/sparse_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "tests/scratch_folder.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kPage = 4096;

class SparseCopyTest : public ::testing::Test {
 protected:
  [[nodiscard]] UniqueFd open(const char* name, int flags = O_RDWR | O_CREAT) const {
    return UniqueFd(::open(folder_.path(name).c_str(), flags | O_CLOEXEC, 0600));
  }
  static std::string contents(const UniqueFd& file) {
    struct stat status {};
    EXPECT_EQ(::fstat(file.get(), &status), 0);
    std::string text(static_cast<std::size_t>(status.st_size), '?');
    EXPECT_EQ(::pread(file.get(), text.data(), text.size(), 0), status.st_size);
    return text;
  }
  static std::int64_t pages(const UniqueFd& file) {
    struct stat status {};
    EXPECT_EQ(::fstat(file.get(), &status), 0);
    return status.st_blocks * 512 / static_cast<std::int64_t>(kPage);
  }
  static void copy(const UniqueFd& from, SparseOutput& to, std::uint64_t end) {
    std::vector<std::byte> buffer(3 * kPage);
    while (to.bytes() < end) {
      const auto piece = read_piece(from.get(), to.bytes(), end, buffer);
      ASSERT_TRUE(piece);
      ASSERT_NE(piece->hole_bytes + piece->data_bytes, 0U);
      ASSERT_TRUE(to.put(*piece, buffer));
    }
    ASSERT_TRUE(to.finish());
  }
  /// Ten pages, of which the third and the last but one have something.
  UniqueFd sparse_file() {
    UniqueFd file(::memfd_create("sparse", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file.get(), 10 * kPage), 0);
    EXPECT_EQ(::pwrite(file.get(), "abc", 3, 2 * kPage + 7), 3);
    EXPECT_EQ(::pwrite(file.get(), "def", 3, 9 * kPage - 3), 3);
    return file;
  }

  const ScratchFolder folder_;
};

TEST_F(SparseCopyTest, HolesStayHoles) {
  const UniqueFd from = sparse_file();
  const UniqueFd to(::memfd_create("copy", MFD_CLOEXEC));
  SparseOutput output(to.get(), SparseOutput::Holds::kAnything);
  copy(from, output, 10 * kPage);
  EXPECT_EQ(contents(to), contents(from));
  EXPECT_EQ(pages(to), 2);
}

TEST_F(SparseCopyTest, AnEndWithinAPageIsKept) {
  const UniqueFd from = sparse_file();
  const UniqueFd to = open("file");
  SparseOutput output(to.get(), SparseOutput::Holds::kAnything);
  copy(from, output, 9 * kPage - 2);
  EXPECT_EQ(contents(to), contents(from).substr(0, 9 * kPage - 2));
}

TEST_F(SparseCopyTest, WhatAFileHadBeforeIsOverwritten) {
  const UniqueFd from = sparse_file();
  const UniqueFd to = open("file");
  const std::string old(4 * kPage, 'x');
  ASSERT_EQ(::write(to.get(), old.data(), old.size()), static_cast<ssize_t>(old.size()));
  ASSERT_EQ(::lseek(to.get(), 0, SEEK_SET), 0);
  SparseOutput output(to.get(), SparseOutput::Holds::kAnything);
  copy(from, output, 10 * kPage);
  EXPECT_EQ(contents(to), contents(from));
}

TEST_F(SparseCopyTest, AFileThatIsAppendedToAndAPipeGetZeros) {
  const UniqueFd from = sparse_file();
  const UniqueFd appended = open("file", O_RDWR | O_CREAT | O_APPEND);
  SparseOutput to_file(appended.get(), SparseOutput::Holds::kAnything);
  copy(from, to_file, 10 * kPage);
  EXPECT_EQ(contents(appended), contents(from));
  int ends[2] = {};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  SparseOutput to_pipe(writer.get(), SparseOutput::Holds::kAnything);
  copy(from, to_pipe, 10 * kPage);
  std::string got(10 * kPage, '?');
  ASSERT_EQ(::read(reader.get(), got.data(), got.size()), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, contents(from));
}

TEST_F(SparseCopyTest, ZerosBecomeHoles) {
  const UniqueFd to(::memfd_create("copy", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(to.get(), 10 * kPage), 0);
  SparseOutput output(to.get(), SparseOutput::Holds::kZeros);
  std::vector<std::byte> bytes(5 * kPage + 1);
  bytes[2 * kPage] = std::byte{1};
  bytes[5 * kPage] = std::byte{2};
  ASSERT_TRUE(output.write(bytes));
  EXPECT_EQ(output.bytes(), bytes.size());
  EXPECT_EQ(pages(to), 2);
  EXPECT_EQ(contents(to)[2 * kPage], '\1');
  EXPECT_EQ(contents(to)[5 * kPage], '\2');
}

TEST_F(SparseCopyTest, AFileThatIsCutEndsThere) {
  const UniqueFd from = sparse_file();
  std::vector<std::byte> buffer(kPage);
  ASSERT_EQ(::ftruncate(from.get(), kPage), 0);
  const auto hole = read_piece(from.get(), 0, 10 * kPage, buffer);
  ASSERT_TRUE(hole);
  EXPECT_EQ(hole->hole_bytes, kPage);
  const auto end = read_piece(from.get(), kPage, 10 * kPage, buffer);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->hole_bytes + end->data_bytes, 0U);
}

TEST_F(SparseCopyTest, AFullDiskIsAnError) {
  const UniqueFd from = sparse_file();
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  SparseOutput output(full.get(), SparseOutput::Holds::kAnything);
  std::vector<std::byte> buffer(kPage, std::byte{1});
  const auto written = output.write(buffer);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error(), Errno(ENOSPC));
}

}  // namespace
}  // namespace shmvisor::client
