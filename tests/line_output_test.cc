// What follows a run on a disk that is full and has room again: whole lines.
#include "supervisor/client/line_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "policy/base/unique_fd.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

using client::LineOutput;

constexpr const char* kOnePage = "size=4096";

/// Standard output is a file on a disk of a few pages. Restored at the end.
class LineOutputTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk_.c_str(), "tmpfs", 0, kOnePage) != 0) {
      GTEST_SKIP() << "nothing can be mounted";
    }
    (void)std::fflush(stdout);
    shown_.reset(::dup(STDOUT_FILENO));
    const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file.valid());
    ASSERT_EQ(::dup2(file.get(), STDOUT_FILENO), STDOUT_FILENO);
  }
  void TearDown() override {
    show();
    (void)::umount2(disk_.c_str(), MNT_DETACH);
  }

  void show() {
    if (shown_.valid()) ::dup2(shown_.get(), STDOUT_FILENO);
    shown_.reset();
  }
  void give_room(const char* size) const {
    EXPECT_EQ(::mount("none", disk_.c_str(), nullptr, MS_REMOUNT, size), 0);
  }
  /// As where another one writes behind us: what is written cannot be taken back.
  static void set_size(off_t bytes) { EXPECT_EQ(::ftruncate(STDOUT_FILENO, bytes), 0); }
  static void wait_for_next_try() {
    std::this_thread::sleep_for(LineOutput::kBetweenTries + std::chrono::milliseconds(100));
  }
  std::vector<std::string> lines() {
    set_size(::lseek(STDOUT_FILENO, 0, SEEK_CUR));
    show();
    std::vector<std::string> lines;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (file.eof() && !lines.empty()) {
      std::ifstream all(path_);
      all.seekg(-1, std::ios::end);
      if (all.get() != '\n') lines.push_back("(no end)");
    }
    return lines;
  }

  const ScratchFolder folder_;
  const std::string disk_ = folder_.path("");
  const std::string path_ = folder_.path("file");
  UniqueFd shown_;
};

using Lines = std::vector<std::string>;

TEST_F(LineOutputTest, ATornLineIsNotGluedToTheNextOne) {
  const std::string lost(5000, 'l');
  LineOutput output("file", [&](std::uint64_t calls) { return std::to_string(calls) + lost; });
  set_size(1 << 20);
  EXPECT_TRUE(output.add(std::string(4000, 'a')));
  EXPECT_TRUE(output.flush());
  EXPECT_TRUE(output.add(std::string(200, 'b')));
  EXPECT_TRUE(output.flush()) << "it passes";
  wait_for_next_try();
  // Room for the end of that line, and for a part of the one on what is lost, which is taken back.
  give_room("size=8192");
  set_size(4096);
  EXPECT_TRUE(output.add("c"));
  EXPECT_TRUE(output.flush());
  give_room("size=65536");
  EXPECT_TRUE(output.finish());
  EXPECT_EQ(lines(), (Lines{std::string(4000, 'a'), std::string(95, 'b'), "2" + lost}));
}

TEST_F(LineOutputTest, TheLastLineHasAnEnd) {
  LineOutput output("file", [](std::uint64_t /*calls*/) { return "lost"; });
  set_size(1 << 20);
  EXPECT_TRUE(output.add(std::string(4000, 'a')));
  EXPECT_TRUE(output.add(std::string(200, 'b'), /*calls=*/0));
  EXPECT_TRUE(output.flush());
  give_room("size=65536");
  EXPECT_TRUE(output.finish());
  EXPECT_EQ(lines(), (Lines{std::string(4000, 'a'), std::string(95, 'b')}));
}

TEST_F(LineOutputTest, SaysWhatIsMissingAtTheEnd) {
  LineOutput output("file", [](std::uint64_t /*calls*/) { return "lost"; });
  EXPECT_TRUE(output.add(std::string(4000, 'a')));
  EXPECT_TRUE(output.add(std::string(200, 'b'), /*calls=*/3));
  EXPECT_TRUE(output.flush());
  const std::string filler(95, 'x');
  EXPECT_TRUE(output.add(filler + filler, /*calls=*/2));
  const auto finished = output.finish();
  EXPECT_EQ(lines(), (Lines{std::string(4000, 'a'), "lost"}));
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().text.find("the last 2 calls are not in it"), std::string::npos)
      << finished.error().text;
}

}  // namespace
}  // namespace shmvisor
