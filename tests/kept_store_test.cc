// What a keeper hands over to another program: KeptStore.
#include "supervisor/keeper/kept_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace shmvisor {
namespace {

struct Counter {
  static constexpr std::uint32_t kLayout = 1;
  std::atomic<std::uint64_t> value{7};
};

struct CounterOfAnotherLayout {
  static constexpr std::uint32_t kLayout = 2;
  std::atomic<std::uint64_t> value{0};
};

struct LongerCounter {
  static constexpr std::uint32_t kLayout = 1;
  std::atomic<std::uint64_t> value{0};
  std::uint64_t more = 0;
};

int handed_over(const KeptStore& store) {
  auto handover = store.write({});
  EXPECT_TRUE(handover.ok()) << handover.error();
  return handover->release();
}

int file_of(const std::string& text) {
  const int file = ::memfd_create("handover", MFD_CLOEXEC);
  EXPECT_EQ(::write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}

std::string refusal(const std::string& handover) {
  KeptStore store;
  const auto taken = store.take(file_of(handover));
  return taken ? "" : taken.error();
}

TEST(KeptStoreTest, AnotherProgramHasWhatThisOneKept) {
  KeptStore before;
  auto* const counter = before.object<Counter>("counter");
  ASSERT_NE(counter, nullptr);
  EXPECT_EQ(counter->value.load(), 7U);
  counter->value.store(8);
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  before.note_descriptor("file", file.get());
  before.note("number", -5);
  const std::string bytes = "a path \xff\xc3\xa4\x80\n\"\\";
  before.note_text("text", bytes);

  KeptStore after;
  ASSERT_TRUE(after.take(handed_over(before)).ok());
  EXPECT_TRUE(after.resumes());
  EXPECT_EQ(after.descriptor("file"), file.get());
  EXPECT_EQ(after.number("number"), -5);
  EXPECT_EQ(after.text("text"), bytes);
  EXPECT_EQ(after.not_asked_for(), "'counter'");
  auto* const same = after.object<Counter>("counter");
  ASSERT_NE(same, nullptr);
  EXPECT_EQ(same->value.load(), 8U);
  counter->value.store(9);
  EXPECT_EQ(same->value.load(), 9U);
  EXPECT_EQ(after.not_asked_for(), "");
}

TEST(KeptStoreTest, AnObjectOfAnotherLayoutIsRefused) {
  KeptStore before;
  ASSERT_NE(before.object<Counter>("counter"), nullptr);
  {
    KeptStore after;
    ASSERT_TRUE(after.take(handed_over(before)).ok());
    EXPECT_EQ(after.object<CounterOfAnotherLayout>("counter"), nullptr);
    EXPECT_NE(after.trouble().find("layout"), std::string::npos);
  }
  KeptStore after;
  ASSERT_TRUE(after.take(handed_over(before)).ok());
  EXPECT_EQ(after.object<LongerCounter>("counter"), nullptr);
  EXPECT_NE(after.trouble(), "");
}

TEST(KeptStoreTest, ACopyOfTheTextsIsReadFromAHandover) {
  KeptStore store;
  store.note_text("text", "a \xff\n");
  const auto file = KeptStore::empty_handover();
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(KeptStore::text_in(*file, "text"), "");
  ASSERT_TRUE(store.write_to(*file, {STDIN_FILENO}).ok());
  EXPECT_EQ(KeptStore::text_in(*file, "text"), "a \xff\n");
  EXPECT_EQ(KeptStore::text_in(*file, "another"), "");
  KeptStore after;
  ASSERT_TRUE(after.look_at(::dup(file->get())).ok());
  EXPECT_TRUE(after.only_looks());
  EXPECT_EQ(after.inherited(), std::vector<int>{STDIN_FILENO});
}

TEST(KeptStoreTest, WhatIsNoHandoverIsRefused) {
  const std::string whole =
      R"({"shmvisor_handover":1,"objects":{},"descriptors":{},"numbers":{},"texts":{},"inherited":[]})";
  EXPECT_EQ(refusal(whole), "");
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal("[]"), "");
  EXPECT_NE(refusal(whole.substr(0, whole.size() - 1)), "");
  EXPECT_NE(refusal(R"({"shmvisor_handover":2})").find("version 2"), std::string::npos);
  EXPECT_NE(refusal(R"({"shmvisor_handover":"1"})"), "");
  EXPECT_NE(refusal(R"({"shmvisor_handover":1,"objects":{"a":{}}})"), "");
  EXPECT_NE(
      refusal(
          R"({"shmvisor_handover":1,"objects":{},"descriptors":{"a":9999},"numbers":{},"texts":{},"inherited":[]})"),
      "");
  EXPECT_NE(
      refusal(
          R"({"shmvisor_handover":1,"objects":{},"descriptors":[1],"numbers":{},"texts":{},"inherited":[]})"),
      "");
}

}  // namespace
}  // namespace shmvisor
