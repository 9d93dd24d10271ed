#include "emulation/abi/proc_format.h"

#include <gtest/gtest.h>

#include <climits>
#include <limits>
#include <string>
#include <vector>

namespace shmvisor {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

/// "VALUE/TAKEN", "ignored/TAKEN" or "EINVAL".
template <typename Number>
std::string outcome(const Result<SysctlWrite<Number>>& write) {
  if (!write) return write.error() == Errno(EINVAL) ? "EINVAL" : "another error";
  return (write->ignored ? "ignored" : std::to_string(write->value)) + "/" +
         std::to_string(write->taken_bytes);
}

std::string written_ulong(const std::string& bytes, std::uint64_t offset = 0) {
  return outcome(write_ulong_sysctl(bytes, offset));
}

std::string written_int(const std::string& bytes, int minimum = INT_MIN, int maximum = INT_MAX) {
  return outcome(write_int_sysctl(bytes, 0, minimum, maximum));
}

TEST(ShmTable, HasTheKernelsHeading) {
  EXPECT_EQ(
      shm_table_heading(),
      "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
      "cgid      atime      dtime      ctime                   rss                  swap\n");
}

TEST(ShmTable, HasTheKernelsColumns) {
  ShmidDs ds;
  ds.key = 0x1234;
  ds.uid = 1;
  ds.gid = 2;
  ds.cuid = 3;
  ds.cgid = 4;
  ds.mode = 01644;
  ds.segsz_bytes = 5000;
  ds.atime = 1700000001;
  ds.ctime = 1700000000;
  ds.cpid = 321;
  ds.lpid = 99999;
  ds.nattch = 7;
  EXPECT_EQ(
      shm_table_line(32768, ds, 8192, 4096),
      "      4660      32768  1644                  5000   321 99999      7     1     2     3"
      "     4 1700000001          0 1700000000                  8192                  4096\n");
}

TEST(ShmTable, ShowsAKeyWithASignAndEverythingElseWithout) {
  ShmidDs ds;
  ds.key = static_cast<key_t>(0xfffffffe);
  ds.uid = ds.gid = ds.cuid = ds.cgid = static_cast<uid_t>(-2);
  ds.mode = 03777;
  ds.segsz_bytes = kMost;
  ds.atime = -1;
  ds.cpid = 4194304;
  ds.nattch = 1234567;
  EXPECT_EQ(shm_table_line(INT_MAX, ds, kMost, 0),
            "        -2 2147483647  3777  18446744073709551615 4194304     0  1234567 4294967294"
            " 4294967294 4294967294 4294967294 18446744073709551615          0          0"
            "  18446744073709551615                     0\n")
      << "a column grows with what is in it";
}

TEST(ReadSysctl, GivesANumberAndANewline) {
  EXPECT_EQ(read_sysctl(kMost, 0, 100), "18446744073709551615\n");
  EXPECT_EQ(read_sysctl(std::uint64_t{0}, 0, 100), "0\n");
  EXPECT_EQ(read_sysctl(-1, 0, 100), "-1\n");
}

TEST(ReadSysctl, CutsOffWhatDoesNotFitForGood) {
  EXPECT_EQ(read_sysctl(4096, 0, 5), "4096\n");
  EXPECT_EQ(read_sysctl(4096, 0, 4), "4096");
  EXPECT_EQ(read_sysctl(4096, 0, 1), "4");
  EXPECT_EQ(read_sysctl(4096, 0, 0), "");
  EXPECT_EQ(read_sysctl(4096, 1, 100), "");
  EXPECT_EQ(read_sysctl(4096, kMost, 100), "");
}

TEST(WriteSysctl, TakesDecimalOctalAndHexadecimal) {
  EXPECT_EQ(written_ulong("10"), "10/2");
  EXPECT_EQ(written_ulong("010"), "8/3");
  EXPECT_EQ(written_ulong("0x10"), "16/4");
  EXPECT_EQ(written_ulong("0XfF"), "255/4");
  EXPECT_EQ(written_ulong("0"), "0/1");
  EXPECT_EQ(written_ulong("00"), "0/2");
  EXPECT_EQ(written_int("0x7fffffff"), "2147483647/10");
}

TEST(WriteSysctl, TakesSpaceAround) {
  EXPECT_EQ(written_ulong("7\n"), "7/2");
  EXPECT_EQ(written_ulong(" \t\n\v\f\r\xa0"
                          "7"),
            "7/8");
  EXPECT_EQ(written_ulong("7 \r\v\f\xa0"), "7/6") << "any space, behind one that ends the number";
  for (const char end : {'\r', '\v', '\f', '\xa0', '\x85', '\0', ',', 'x', '.'}) {
    EXPECT_EQ(written_ulong(std::string("7") + end), "EINVAL") << int{end};
  }
}

TEST(WriteSysctl, LeavesASecondNumberToTheNextWrite) {
  EXPECT_EQ(written_ulong("7 8\n"), "7/2");
  EXPECT_EQ(written_ulong("7\t\n8"), "7/3");
  EXPECT_EQ(written_ulong("7 rubbish"), "7/2");
}

TEST(WriteSysctl, IgnoresWhatIsNotAtTheStart) {
  EXPECT_EQ(written_ulong("7", 1), "ignored/1");
  EXPECT_EQ(written_ulong("rubbish", 1), "ignored/7");
  EXPECT_EQ(written_ulong("", 0), "ignored/0");
  EXPECT_EQ(outcome(write_int_sysctl("rubbish", kMost, 0, 1)), "ignored/7");
}

TEST(WriteSysctl, RefusesWhatIsNoNumber) {
  for (const char* text : {" ", "\n", "-", "--1", "+1", "x", "0x", "0xg", "08", "0x1g", "1a",
                           "\x85"
                           "1",
                           "- 1", "1,0"}) {
    EXPECT_EQ(written_ulong(text), "EINVAL") << '"' << text << '"';
    EXPECT_EQ(written_int(text), "EINVAL") << '"' << text << '"';
  }
  EXPECT_EQ(written_ulong(std::string("\0"
                                      "1",
                                      2)),
            "EINVAL");
}

TEST(WriteSysctl, RefusesWhatOverflows) {
  EXPECT_EQ(written_ulong("18446744073709551615"), std::to_string(kMost) + "/20");
  EXPECT_EQ(written_ulong("18446744073709551616"), "EINVAL");
  EXPECT_EQ(written_ulong("36893488147419103233"), "EINVAL") << "must not wrap";
  EXPECT_EQ(written_ulong("0xffffffffffffffff"), std::to_string(kMost) + "/18");
  EXPECT_EQ(written_ulong("0x10000000000000000"), "EINVAL");
  EXPECT_EQ(written_int("2147483647"), "2147483647/10");
  EXPECT_EQ(written_int("2147483648"), "EINVAL");
  EXPECT_EQ(written_int("-2147483648"), "-2147483648/11");
  EXPECT_EQ(written_int("-2147483649"), "EINVAL");
  EXPECT_EQ(written_int("4294967297"), "EINVAL") << "must not wrap";
}

TEST(WriteSysctl, RefusesANumberThatFillsTheKernelsBuffer) {
  EXPECT_EQ(written_ulong("00000000000000000007"), "7/20");
  EXPECT_EQ(written_ulong("000000000000000000007"), "EINVAL");
  EXPECT_EQ(written_ulong("0000000000000000000000000000007"), "EINVAL");
  EXPECT_EQ(written_int("-0000000000000000007"), "-7/20");
  EXPECT_EQ(written_int("-00000000000000000007"), "EINVAL");
}

TEST(WriteSysctl, KnowsNoNegativeUnsignedNumber) {
  EXPECT_EQ(written_ulong("-1"), "EINVAL");
  EXPECT_EQ(written_ulong("-0"), "EINVAL");
  EXPECT_EQ(written_int("-0"), "0/2");
}

TEST(WriteSysctl, KeepsToTheBounds) {
  EXPECT_EQ(written_int("0", 0, 32768), "0/1");
  EXPECT_EQ(written_int("32768", 0, 32768), "32768/5");
  EXPECT_EQ(written_int("32769", 0, 32768), "EINVAL");
  EXPECT_EQ(written_int("-1", 0, 32768), "EINVAL");
}

TEST(WriteSysctl, LooksAtTheFirstPageOnly) {
  EXPECT_EQ(written_ulong("7" + std::string(10000, ' ')), "7/10001");
  EXPECT_EQ(written_ulong("7 " + std::string(10000, 'x')), "7/" + std::to_string(10002 - 4093));
  EXPECT_EQ(written_ulong(std::string(4094, ' ') + "7"), "7/4095");
  EXPECT_EQ(written_ulong(std::string(4094, ' ') + "78"), "7/4096")
      << "a number that goes on behind the page is cut";
  EXPECT_EQ(written_ulong(std::string(4095, ' ') + "7"), "EINVAL");
}

}  // namespace
}  // namespace shmvisor
