#include "supervisor/memory/heap_trim.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace shmvisor {
namespace {

std::size_t heap_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssAnon:") continue;
    std::size_t kib = 0;
    status >> kib;
    return kib;
  }
  return 0;
}

// What lies between two pieces that stay malloc(3) gives back to nobody by itself.
TEST(HeapTrim, GivesBackWhatLiesBetween) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a heap of its own";
#endif
  constexpr std::size_t kPieceBytes = 64 * 1024;
  constexpr std::size_t kKib = 16 * 1024;
  ::mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
  std::vector<std::unique_ptr<std::vector<char>>> wave;
  std::vector<std::unique_ptr<std::vector<char>>> stay;
  for (std::size_t i = 0; i < kKib * 1024 / kPieceBytes; ++i) {
    wave.push_back(std::make_unique<std::vector<char>>(kPieceBytes, 'x'));
    stay.push_back(std::make_unique<std::vector<char>>(100, 'x'));
  }
  wave.clear();
  const std::size_t before = heap_kib();
  ASSERT_GT(before, kKib);
  for (int freed = 0; freed < 100; ++freed) heap_trim_later();
  for (int tries = 0; tries < 1000 && heap_kib() > before - kKib / 2; ++tries) ::usleep(20'000);
  EXPECT_LT(heap_kib(), before - kKib / 2);
}

}  // namespace
}  // namespace shmvisor
