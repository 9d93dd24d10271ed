#include "supervisor/log/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "policy/base/unique_fd.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLong = seconds(30);

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriterTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
  }

  /// Until nobody writes.
  void fill() {
    ::fcntl(writer_.get(), F_SETFL, O_NONBLOCK);
    const std::string page(4096, '.');
    while (::write(writer_.get(), page.data(), page.size()) > 0) filled_ += page.size();
    ::fcntl(writer_.get(), F_SETFL, 0);
  }

  /// What is written until all is.
  std::string read_while_flushing(LogWriter& writer) {
    std::string text;
    std::thread flushing([&] {
      EXPECT_TRUE(writer.flush(kLong));
      writer_.reset();
    });
    std::array<char, 65536> some{};
    for (;;) {
      const ssize_t got = ::read(reader_.get(), some.data(), some.size());
      if (got <= 0) break;
      text.append(some.data(), static_cast<std::size_t>(got));
    }
    flushing.join();
    return text.substr(filled_);
  }

  UniqueFd reader_;
  UniqueFd writer_;
  std::size_t filled_ = 0;
};

TEST_F(LogWriterTest, WritesLinesInTheirOrder) {
  LogWriter writer(writer_.get());
  std::string expected;
  for (int number = 0; number < 1000; ++number) {
    const std::string line = "line " + std::to_string(number) + "\n";
    writer.add(line);
    expected += line;
  }
  EXPECT_EQ(read_while_flushing(writer), expected);
}

TEST_F(LogWriterTest, HasNothingToFlushWithoutALine) {
  LogWriter writer(writer_.get());
  EXPECT_TRUE(writer.flush(milliseconds(0)));
}

TEST_F(LogWriterTest, NobodyWaitsForAReader) {
  fill();
  LogWriter writer(writer_.get(), 100);
  writer.add("taken by the thread, which waits\n");
  for (int number = 0; number < 1000; ++number) writer.add("another line of thirty letters\n");
  EXPECT_FALSE(writer.flush(milliseconds(10)));
  std::istringstream text(read_while_flushing(writer));
  int lines = 0;
  int lost = 0;
  for (std::string line; std::getline(text, line);) {
    const std::size_t told = line.find(" lines were lost");
    if (told == std::string::npos) {
      ++lines;
    } else {
      lost += std::stoi(line.substr(line.rfind(' ', told - 1)));
    }
  }
  EXPECT_GE(lines, 1);
  EXPECT_GE(lost, 900);
  EXPECT_EQ(lines + lost, 1001);
}

TEST_F(LogWriterTest, TellsOfLostLinesWithoutAnotherLine) {
  LogWriter writer(writer_.get());
  writer.lose_one();
  EXPECT_NE(read_while_flushing(writer).find(" 1 lines were lost"), std::string::npos);
}

TEST_F(LogWriterTest, WritesWholeLinesAtOnce) {
  // Each write comes as it was made, as long as it is no longer than a pipe takes as one.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_DIRECT), 0);
  reader_.reset(ends[0]);
  writer_.reset(ends[1]);
  fill();
  LogWriter writer(writer_.get());
  const std::string line = std::string(999, 'x') + "\n";
  for (int number = 0; number < 20; ++number) writer.add(line);
  EXPECT_FALSE(writer.flush(milliseconds(10)));
  std::array<char, 65536> packet{};
  std::size_t lines = 0;
  while (lines < 20) {
    const ssize_t got = ::read(reader_.get(), packet.data(), packet.size());
    ASSERT_GT(got, 0);
    if (packet.front() != 'x') continue;
    EXPECT_EQ(got % 1000, 0);
    lines += static_cast<std::size_t>(got) / 1000;
  }
}

TEST_F(LogWriterTest, DropsWhatNobodyCanReadAnyMore) {
  // Of the thread, where it is blocked; of this one otherwise.
  const auto before = ::signal(SIGPIPE, SIG_DFL);
  reader_.reset();
  LogWriter writer(writer_.get());
  writer.add("into the void\n");
  EXPECT_TRUE(writer.flush(kLong));
  ::signal(SIGPIPE, before);
}

TEST_F(LogWriterTest, IsDestroyedWhileItsThreadWaits) {
  fill();
  {
    LogWriter writer(writer_.get());
    writer.add("a line\n");
    EXPECT_FALSE(writer.flush(milliseconds(10)));
  }
  // The thread comes back.
  std::string text;
  std::array<char, 65536> some{};
  while (text.size() < filled_ + 7) {
    const ssize_t got = ::read(reader_.get(), some.data(), some.size());
    ASSERT_GT(got, 0);
    text.append(some.data(), static_cast<std::size_t>(got));
  }
  EXPECT_EQ(text.substr(filled_), "a line\n");
}

TEST_F(LogWriterTest, WritesItselfWhereNoThreadCanBeHad) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    LogWriter writer(writer_.get());
    writer.add("a line\n");
    ::_exit(writer.flush(milliseconds(1000)) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  LogWriter nothing(writer_.get());
  EXPECT_EQ(read_while_flushing(nothing), "a line\n");
}

using LogWriterDeathTest = LogWriterTest;

TEST_F(LogWriterDeathTest, AnExceptionThatNobodyCaughtIsTold) {
  EXPECT_EXIT(
      {
        set_up_process_log(spdlog::level::warn);
        std::thread([] { throw std::runtime_error("no good"); }).join();
      },
      ::testing::KilledBySignal(SIGABRT), "ended by an exception that nobody caught: no good");
}

}  // namespace
}  // namespace shmvisor
