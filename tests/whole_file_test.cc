// A file that has its name only when it is whole.
#include "supervisor/saved/whole_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

TEST_F(WholeFileTest, WhoIsKilledLeavesNothing) {
  write("file", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    auto file = WholeFile::begin(folder_.path("file"));
    if (file) put(*file, "new");
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(text("file"), "old");
  const int nameless = ::open(folder_.path("").c_str(), O_TMPFILE | O_RDWR, 0600);
  if (nameless < 0) GTEST_SKIP() << "no files without a name here";
  ::close(nameless);
  EXPECT_EQ(files(), 1U);
}

TEST_F(WholeFileTest, ALinkThatLeadsNowhereYetIsFollowed) {
  std::filesystem::create_symlink("second", folder_.path("first"));
  std::filesystem::create_symlink("file", folder_.path("second"));
  auto file = WholeFile::begin(folder_.path("first"));
  ASSERT_TRUE(file);
  put(*file, "new");
  ASSERT_TRUE(file->commit());
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path("first")));
  EXPECT_TRUE(
      std::filesystem::is_regular_file(std::filesystem::symlink_status(folder_.path("file"))));
  EXPECT_EQ(text("first"), "new");
  EXPECT_EQ(files(), 3U);
}

TEST_F(WholeFileTest, LinksInARingAreRefused) {
  std::filesystem::create_symlink("second", folder_.path("first"));
  std::filesystem::create_symlink("first", folder_.path("second"));
  EXPECT_FALSE(WholeFile::begin(folder_.path("first")));
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
