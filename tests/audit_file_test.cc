// Audit records in files: what is kept where they rotate, cannot, or are somebody else's.
#include "supervisor/audit/audit_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

const AuditSource kSource{"run", "db", 7};

AuditRecord record_of(int number) { return std::move(AuditRecord("act").add("number", number)); }

std::string contents_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class AuditFileTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kMost = 300;
  static constexpr unsigned kKept = 2;

  Result<std::unique_ptr<AuditFile>, std::string> open() {
    return AuditFile::open({path_, kMost, kKept}, AuditForm::kText, kSource);
  }
  std::string numbered(unsigned number) const { return path_ + "." + std::to_string(number); }
  bool exists(unsigned number) const { return ::access(numbered(number).c_str(), F_OK) == 0; }
  static std::uint64_t size_of(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }
  void make_older() const {
    for (unsigned number = 1; number <= kKept; ++number) {
      std::ofstream(numbered(number)) << "older " << number << "\n";
    }
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("audit");
};

/// A folder that is in the way: the others stay, and the file grows as far as all might.
TEST_F(AuditFileTest, ARotationThatFailsLosesNoFile) {
  std::ofstream(numbered(1)) << "older 1\n";
  ASSERT_EQ(::mkdir(numbered(2).c_str(), 0700), 0);
  auto file = open();
  ASSERT_TRUE(file);
  std::string why;
  for (int number = 0; number < 100 && why.empty(); ++number) {
    const auto written = (*file)->write(record_of(number));
    if (!written) why = written.error();
  }
  EXPECT_NE(why.find("cannot be moved"), std::string::npos) << why;
  EXPECT_EQ(contents_of(numbered(1)), "older 1\n");
  EXPECT_FALSE(exists(0));
  EXPECT_FALSE(exists(3));
  EXPECT_GT(size_of(path_), kMost * kKept);
  EXPECT_LE(size_of(path_), kMost * (kKept + 1));
  ASSERT_EQ(::rmdir(numbered(2).c_str()), 0);
  std::this_thread::sleep_for(AuditFile::kBetweenTries);
  EXPECT_TRUE((*file)->write(record_of(1000)));
  EXPECT_LE(size_of(path_), kMost);
  EXPECT_NE(contents_of(path_).find("number=1000"), std::string::npos);
  EXPECT_NE(contents_of(numbered(1)).find("number=0\n"), std::string::npos);
  EXPECT_EQ(contents_of(numbered(2)), "older 1\n");
}

/// Nothing is moved where the newest of the older files cannot go on.
TEST_F(AuditFileTest, AllOlderFilesStayWhereOneIsStuck) {
  ASSERT_EQ(::mkdir(numbered(1).c_str(), 0700), 0);
  std::ofstream(numbered(2)) << "older 2\n";
  auto file = open();
  ASSERT_TRUE(file);
  for (int number = 0; number < 10; ++number) EXPECT_TRUE((*file)->write(record_of(number)));
  EXPECT_GT(size_of(path_), kMost);
  EXPECT_EQ(contents_of(numbered(2)), "older 2\n");
  EXPECT_FALSE(exists(3));
}

TEST_F(AuditFileTest, ARotationThatWasCutShortIsFinished) {
  make_older();
  std::ofstream(numbered(0)) << "cut short\n";
  auto file = open();
  ASSERT_TRUE(file);
  while (!exists(1) || contents_of(numbered(1)) == "older 1\n") {
    ASSERT_LT(size_of(path_), kMost + 1);
    ASSERT_TRUE((*file)->write(record_of(1)));
  }
  EXPECT_EQ(contents_of(numbered(2)), "cut short\n");
  EXPECT_NE(contents_of(numbered(1)).find("act number=1\n"), std::string::npos);
  EXPECT_FALSE(exists(0));
  EXPECT_FALSE(exists(3));
}

TEST_F(AuditFileTest, SeveralThatWriteOneFileKeepItsSize) {
  auto first = open();
  auto second = open();
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  constexpr int kRecords = 12;
  int found = 0;
  for (int number = 0; number < kRecords; ++number) {
    EXPECT_TRUE((number % 2 == 0 ? *first : *second)->write(record_of(number)));
    EXPECT_LE(size_of(path_), kMost);
  }
  for (const std::string& file : {path_, numbered(1), numbered(2)}) {
    EXPECT_LE(size_of(file), kMost);
    const std::string text = contents_of(file);
    found += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  EXPECT_EQ(found, kRecords);
}

TEST_F(AuditFileTest, OthersMayNotReadAFileThatWasThere) {
  std::ofstream(path_) << "was there\n";
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  ASSERT_TRUE(open());
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & ALLPERMS, 0600U);
}

TEST_F(AuditFileTest, AnOwnLinkIsFollowedAndStays) {
  ASSERT_EQ(::mkdir(folder_.path("elsewhere").c_str(), 0700), 0);
  ASSERT_EQ(::symlink("elsewhere/target", path_.c_str()), 0);
  auto file = open();
  ASSERT_TRUE(file) << file.error();
  for (int number = 0; number < 10; ++number) EXPECT_TRUE((*file)->write(record_of(number)));
  EXPECT_GT(size_of(folder_.path("elsewhere/target.1")), 0U);
  EXPECT_FALSE(exists(1));
  struct stat status {};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
}

TEST_F(AuditFileTest, AnotherUsersFilesAndLinksAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give files away";
  std::ofstream(path_) << "another's\n";
  ASSERT_EQ(::chown(path_.c_str(), 1000, 1000), 0);
  auto file = open();
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().find("another user, 1000"), std::string::npos) << file.error();
  EXPECT_EQ(contents_of(path_), "another's\n");

  const std::string target = folder_.path("target");
  std::ofstream(target) << "precious\n";
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::symlink("target", path_.c_str()), 0);
  ASSERT_EQ(::lchown(path_.c_str(), 1000, 1000), 0);
  file = open();
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().find("a symbolic link of another user's"), std::string::npos);
  EXPECT_EQ(contents_of(target), "precious\n");
}

TEST(AuditFile, ALineThatHasNoEndIsEnded) {
  const ScratchFolder folder;
  const std::string path = folder.path("audit");
  std::ofstream(path) << "torn";
  auto file = AuditFile::open({path, 1000, 1}, AuditForm::kText, kSource);
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->write(record_of(1)));
  std::ifstream in(path);
  std::string first;
  std::string second;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_EQ(first, "torn");
  EXPECT_NE(second.find("]: act number=1"), std::string::npos) << second;
}

TEST(AuditFile, KeepsNoneWhereNoneIsWanted) {
  const ScratchFolder folder;
  const std::string path = folder.path("audit");
  auto file = AuditFile::open({path, 100, 0}, AuditForm::kText, kSource);
  ASSERT_TRUE(file);
  for (int number = 0; number < 20; ++number) EXPECT_TRUE((*file)->write(record_of(number)));
  struct stat status {};
  EXPECT_NE(::stat((path + ".1").c_str(), &status), 0);
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_LE(status.st_size, 100);
}

}  // namespace
}  // namespace shmvisor
