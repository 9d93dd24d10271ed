#include "policy/limits/limits.h"

#include <gtest/gtest.h>

#include <string>

namespace shmvisor {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

int size_error(std::string_view text) {
  const Result<std::uint64_t> size = parse_size(text);
  return size ? 0 : size.error().value();
}

int shmmni_error(std::string_view text) {
  const Result<std::uint32_t> count = parse_shmmni(text);
  return count ? 0 : count.error().value();
}

TEST(Limits, DefaultsAreTheKernels) {
  const Limits limits;
  EXPECT_EQ(limits.shmmax, 18446744073692774399U);
  EXPECT_EQ(limits.shmall, 18446744073692774399U);
  EXPECT_EQ(limits.shmmni, 4096U);
  EXPECT_EQ(Limits::shmmin, 1U);
}

TEST(ParseSize, TakesDecimalNumbers) {
  EXPECT_EQ(*parse_size("0"), 0U);
  EXPECT_EQ(*parse_size("1"), 1U);
  EXPECT_EQ(*parse_size("0010"), 10U) << "decimal, where sysctl would read octal";
  EXPECT_EQ(*parse_size("18446744073709551615"), kMost);
}

TEST(ParseSize, MultipliesBySuffix) {
  EXPECT_EQ(*parse_size("3K"), 3072U);
  EXPECT_EQ(*parse_size("3k"), 3072U);
  EXPECT_EQ(*parse_size("5M"), 5U << 20);
  EXPECT_EQ(*parse_size("5m"), 5U << 20);
  EXPECT_EQ(*parse_size("7G"), std::uint64_t{7} << 30);
  EXPECT_EQ(*parse_size("7g"), std::uint64_t{7} << 30);
  EXPECT_EQ(*parse_size("2T"), std::uint64_t{2} << 40);
  EXPECT_EQ(*parse_size("2t"), std::uint64_t{2} << 40);
  EXPECT_EQ(*parse_size("0K"), 0U);
}

TEST(ParseSize, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "K",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "1 K",
                           "1.5",
                           "1,5",
                           "1.5G",
                           "0x10",
                           "1KB",
                           "1KK",
                           "1P",
                           "1kib",
                           "10\n",
                           "1e3",
                           "99999999999999999999x",
                           "99999999999999999999KB"}) {
    EXPECT_EQ(size_error(text), EINVAL) << '"' << text << '"';
  }
  EXPECT_EQ(size_error(std::string_view("1\0", 2)), EINVAL) << "a trailing zero byte";
  EXPECT_EQ(size_error(std::string_view()), EINVAL) << "no text at all";
}

TEST(ParseSize, SaysWhereItOverflows) {
  EXPECT_EQ(size_error("18446744073709551616"), ERANGE);
  EXPECT_EQ(size_error("99999999999999999999K"), ERANGE);

  EXPECT_EQ(*parse_size("18014398509481983K"), kMost - 1023);
  EXPECT_EQ(size_error("18014398509481984K"), ERANGE);
  EXPECT_EQ(*parse_size("16777215T"), std::uint64_t{16777215} << 40);
  EXPECT_EQ(size_error("16777216T"), ERANGE);
}

TEST(ParseSize, ReadsNoByteBehindTheText) {
  const std::string text = "12K";
  EXPECT_EQ(*parse_size(std::string_view(text).substr(0, 2)), 12U);
  EXPECT_EQ(*parse_size(std::string_view(text).substr(0, 1)), 1U);
}

TEST(ParseShmmni, RefusesWhatSysctlRefuses) {
  EXPECT_EQ(*parse_shmmni("0"), 0U);
  EXPECT_EQ(*parse_shmmni("4K"), 4096U);
  EXPECT_EQ(*parse_shmmni("32768"), 32768U);
  EXPECT_EQ(shmmni_error("32769"), EINVAL);
  EXPECT_EQ(shmmni_error("-1"), EINVAL);
  EXPECT_EQ(shmmni_error("4294967296"), EINVAL) << "must not wrap to 0";
  EXPECT_EQ(shmmni_error("18446744073709551616"), EINVAL) << "too large, like 32769";
  EXPECT_EQ(shmmni_error("many"), EINVAL);
}

}  // namespace
}  // namespace shmvisor
