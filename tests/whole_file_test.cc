// A file that has its name only when it is whole.
#include "supervisor/saved/whole_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/scratch_folder.h"

namespace shmvisor::saved {
namespace {

class WholeFileTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string text(const char* name) const {
    std::ifstream file(folder_.path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const char* name, const std::string& words) const {
    std::ofstream(folder_.path(name)) << words;
  }
  [[nodiscard]] std::size_t files() const {
    const std::filesystem::directory_iterator all(folder_.path(""));
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  static void put(const WholeFile& file, const std::string& words) {
    EXPECT_EQ(::write(file.fd(), words.data(), words.size()), static_cast<ssize_t>(words.size()));
  }

  const ScratchFolder folder_;
};

TEST_F(WholeFileTest, TheOldOneStaysUntilTheNewOneIsWhole) {
  write("file", "old");
  auto file = WholeFile::begin(folder_.path("file"));
  ASSERT_TRUE(file);
  put(*file, "new");
  EXPECT_EQ(text("file"), "old");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(text("file"), "new");
  EXPECT_EQ(files(), 1U);
  struct stat status {};
  ASSERT_EQ(::stat(folder_.path("file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(WholeFileTest, WhatIsNotCommittedLeavesNothing) {
  write("file", "old");
  {
    auto file = WholeFile::begin(folder_.path("file"));
    ASSERT_TRUE(file);
    put(*file, "new");
  }
  EXPECT_EQ(text("file"), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(WholeFileTest, ALinkLeadsToTheFile) {
  write("file", "old");
  ASSERT_EQ(::symlink("file", folder_.path("link").c_str()), 0);
  auto file = WholeFile::begin(folder_.path("link"));
  ASSERT_TRUE(file);
  put(*file, "new");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(text("file"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path("link")));
}

TEST_F(WholeFileTest, ALinkLeadsToAFileThatIsNotThereYet) {
  std::filesystem::create_directory(folder_.path("there"));
  ASSERT_EQ(::symlink("there/other", folder_.path("link").c_str()), 0);
  ASSERT_EQ(::symlink("file", folder_.path("there/other").c_str()), 0);
  auto file = WholeFile::begin(folder_.path("link"));
  ASSERT_TRUE(file);
  put(*file, "new");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(text("there/file"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path("link")));
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path("there/other")));
}

TEST_F(WholeFileTest, LinksWithoutEndAreRefused) {
  ASSERT_EQ(::symlink("link", folder_.path("link").c_str()), 0);
  const auto file = WholeFile::begin(folder_.path("link"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error(), Errno(ELOOP));
}

TEST_F(WholeFileTest, ANameThatIsTooLongIsRefusedAtOnce) {
  const auto longest = WholeFile::begin(folder_.path(std::string(241, 'x')));
  EXPECT_TRUE(longest);
  const auto longer = WholeFile::begin(folder_.path(std::string(242, 'x')));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error(), Errno(ENAMETOOLONG));
}

TEST_F(WholeFileTest, OfAKilledProcessNothingStays) {
  write("file", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    auto file = WholeFile::begin(folder_.path("file"));
    if (file && !file->unfinished().empty()) ::_exit(1);  // a file system without such files
    if (file) put(*file, "new");
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status)) GTEST_SKIP() << "no files without a name here";
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(text("file"), "old");
}

TEST_F(WholeFileTest, NothingButARegularFileIsReplaced) {
  const auto error_of = [](const std::string& path) {
    const auto file = WholeFile::begin(path);
    return file ? 0 : file.error().value();
  };
  EXPECT_EQ(error_of("/dev/null"), EINVAL);
  EXPECT_EQ(error_of(folder_.path("")), EISDIR);
  EXPECT_EQ(error_of(folder_.path("no/file")), ENOENT);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace shmvisor::saved
