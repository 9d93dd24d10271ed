// How much can be allocated, over cgroup folders that a test makes.
#include "supervisor/memory/memory_room.h"

#include <gtest/gtest.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace shmvisor {
namespace {

class MemoryRoomTest : public ::testing::Test {
 protected:
  MemoryRoomTest() {
    char path[] = "/tmp/memory-room-XXXXXX";
    root_ = ::mkdtemp(path);
    std::filesystem::create_directories(root_ + "/above/own");
  }
  ~MemoryRoomTest() override { std::filesystem::remove_all(root_); }

  void put(const std::string& file, const std::string& text) {
    std::ofstream(root_ + "/" + file) << text << "\n";
  }
  std::uint64_t room() { return control_group_room_bytes(root_ + "/above/own"); }

  std::string root_;
};

TEST_F(MemoryRoomTest, NoLimitAtAll) { EXPECT_EQ(room(), UINT64_MAX); }

TEST_F(MemoryRoomTest, Version2) {
  put("above/own/memory.max", "max");
  put("above/own/memory.current", "1000");
  put("above/memory.max", "5000");
  put("above/memory.current", "3000");
  EXPECT_EQ(room(), 2000U) << "the one above is the narrower";
  put("above/own/memory.max", "1500");
  EXPECT_EQ(room(), 500U);
  put("above/own/memory.stat", "anon 600\nfile 400\ninactive_file 300\nactive_file 100");
  EXPECT_EQ(room(), 800U) << "cache that is not in use counts as free";
  put("above/own/memory.current", "2000");
  put("above/own/memory.stat", "inactive_file 9000");
  EXPECT_EQ(room(), 1500U) << "but not as more than is used";
  put("above/memory.current", "6000");
  EXPECT_EQ(room(), 0U) << "beyond the limit already";
}

TEST_F(MemoryRoomTest, Version1) {
  put("above/own/memory.limit_in_bytes", "9223372036854771712");
  put("above/own/memory.usage_in_bytes", "1000");
  put("above/memory.limit_in_bytes", "5000");
  put("above/memory.usage_in_bytes", "3000");
  put("above/memory.stat", "inactive_file 1\ntotal_inactive_file 500");
  EXPECT_EQ(room(), 2500U);
}

TEST_F(MemoryRoomTest, WhatCannotBeReadDoesNotCount) {
  put("above/own/memory.max", "rubbish");
  put("above/own/memory.current", "1000");
  EXPECT_EQ(room(), UINT64_MAX);
}

TEST_F(MemoryRoomTest, ThisMachine) {
  struct sysinfo info {};
  ASSERT_EQ(::sysinfo(&info), 0);
  EXPECT_GT(memory_room_bytes(), 0U);
  EXPECT_LE(memory_room_bytes(), (std::uint64_t{info.totalram} + info.totalswap) * info.mem_unit);
}

}  // namespace
}  // namespace shmvisor
