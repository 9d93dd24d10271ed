// Departure: with which registers a thread goes on, by what it was told.
#include "supervisor/inject/departure.h"

#include <gtest/gtest.h>

#include <cstring>

namespace shmvisor {
namespace {

Registers stopped() {
  user_regs_struct raw{};
  raw.rip = 0x401002;
  raw.rax = static_cast<std::uint64_t>(-513);  // the kernel's order to repeat the call
  raw.orig_rax = 30;
  return Registers(raw);
}

bool same(const Registers& one, const Registers& other) {
  return std::memcmp(&one.raw(), &other.raw(), sizeof(one.raw())) == 0;
}

TEST(DepartureTest, UntoldItGoesOnAsItWas) {
  EXPECT_TRUE(same(Departure{}.registers(stopped()), stopped()))
      << "should nothing be told, the order to repeat the call stands";
}

TEST(DepartureTest, WithAResult) {
  Departure departure;
  departure.result = 7;
  EXPECT_TRUE(same(departure.registers(stopped()), stopped().returning(7)));
  EXPECT_FALSE(departure.result_word()) << "it is in a register";
}

TEST(DepartureTest, ToRepeatItsCallIsStrongerThanAResult) {
  Departure departure;
  departure.result = 7;
  departure.repeats = true;
  EXPECT_TRUE(same(departure.registers(stopped()), stopped().repeating()));
}

TEST(DepartureTest, CodeFindsTheResultInMemory) {
  user_regs_struct raw{};
  raw.rip = 0x2000'0000'0100;
  Departure departure;
  departure.code = Departure::Code{Registers(raw), 0x2000'0000'1008};
  EXPECT_TRUE(same(departure.registers(stopped()), Registers(raw)));
  EXPECT_FALSE(departure.result_word()) << "it has none yet";
  departure.result = -22;
  EXPECT_TRUE(same(departure.registers(stopped()), Registers(raw))) << "whatever the result";
  const auto word = departure.result_word();
  ASSERT_TRUE(word);
  EXPECT_EQ(word->address, 0x2000'0000'1008U);
  EXPECT_EQ(word->value, static_cast<std::uint64_t>(-22));
}

}  // namespace
}  // namespace shmvisor
