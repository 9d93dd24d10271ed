// Audit records: their forms, the queue, and what it loses.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "policy/base/mutex.h"
#include "supervisor/audit/audit_backlog.h"
#include "supervisor/audit/audit_log.h"
#include "supervisor/audit/audit_place.h"

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const AuditSource kSource{"run", "db", 7};

AuditRecord record_of(int number) { return std::move(AuditRecord("act").add("number", number)); }

TEST(AuditText, QuotesWhatIsNotPlain) {
  AuditRecord record("refusal");
  record.add("plain", "a-b_c./:,*@+9").add("blank", "a b").add("quote", "a\"b\\c\nd\x1b");
  record.add("none", "").add("number", -5);
  EXPECT_EQ(audit_text(record),
            R"(refusal plain=a-b_c./:,*@+9 blank="a b" quote="a\"b\\c?d?" none="" number=-5)");
  const std::string json = audit_json(record, kSource);
  EXPECT_EQ(json.find("{\"time\":\"20"), 0U) << json;
  EXPECT_NE(json.find(R"("shmvisor":7,"kind":"run","name":"db","event":"refusal","plain":)"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("quote":"a\"b\\c?d?","none":"","number":-5})"), std::string::npos) << json;
}

TEST(AuditText, TellsTheTimeInUtc) {
  EXPECT_EQ(audit_time(AuditRecord::Clock::time_point(std::chrono::microseconds(1'000'005))),
            "1970-01-01T00:00:01.000005Z");
}

TEST(AuditText, SaysAnActOnce) {
  AuditRecord act("act");
  act.add("act", "remove").add("shmid", 3).add("by_uid", 0).add("result", "ok");
  EXPECT_EQ(audit_text(act), "act remove shmid=3 by_uid=0 result=ok");
  AuditRecord container("container");
  container.add("act", "served").add("container", "c1");
  EXPECT_EQ(audit_text(container), "container served container=c1");
}

/// No value makes a field of its own.
TEST(AuditText, FieldsOfJournaldAreOneLineEach) {
  AuditRecord record("act");
  record.add("by", "x\nPRIORITY=0").add("by_uid", 0);
  EXPECT_EQ(audit_fields(record, kSource, "what"),
            "MESSAGE=what\nPRIORITY=5\nSYSLOG_IDENTIFIER=shmvisor\nSHMVISOR_EVENT=act\n"
            "SHMVISOR_KIND=run\nSHMVISOR_NAME=db\nSHMVISOR_BY=x?PRIORITY=0\nSHMVISOR_BY_UID=0\n");
}

TEST(AuditPlace, IsChecked) {
  for (const char* const good : {"stderr", "syslog", "journald", "./x", "/x", "syslog:/x"}) {
    EXPECT_EQ(check_audit_place(good), "") << good;
  }
  for (const char* const bad : {"", "file", "syslog:", "Stderr", "syslog:x"}) {
    EXPECT_NE(check_audit_place(bad), "") << bad;
  }
}

std::vector<std::string> left_in(const AuditBacklog& backlog) {
  std::vector<std::string> texts;
  for (const AuditBacklog::Left& left : backlog.left()) {
    EXPECT_EQ(left.cause, 1000U);
    texts.push_back(audit_text(left.record));
  }
  return texts;
}

TEST(AuditBacklog, HasWhatIsNotOverInItsOrder) {
  AuditBacklog* const backlog = AuditBacklog::create();
  ASSERT_NE(backlog, nullptr);
  AuditRecord whole("refusal");
  whole.add("call", "shmget").add("size", 5).add("because", std::string(3, '\0'));
  ASSERT_TRUE(backlog->add(whole, 1000));
  ASSERT_TRUE(backlog->add(record_of(2), 1000));
  EXPECT_EQ(left_in(*backlog), (std::vector<std::string>{audit_text(whole), "act number=2"}));
  EXPECT_EQ(backlog->left().front().record.time(), whole.time());
  backlog->first_is_over();
  EXPECT_EQ(left_in(*backlog), (std::vector<std::string>{"act number=2"}));
  backlog->first_is_over();
  backlog->first_is_over();
  EXPECT_TRUE(left_in(*backlog).empty());
}

/// Also over its end, whatever the lengths, and where it is full.
TEST(AuditBacklog, TakesRecordsForEver) {
  AuditBacklog* const backlog = AuditBacklog::create();
  ASSERT_NE(backlog, nullptr);
  std::vector<std::string> wanted;
  int refused = 0;
  for (int number = 0; number < 60'000; ++number) {
    AuditRecord record("act");
    record.add("number", number).add("text", std::string(number % 997, 'x'));
    if (backlog->add(record, 1000)) {
      wanted.push_back(audit_text(record));
    } else {
      ++refused;
    }
    // It grows and shrinks again.
    const bool shrinks = number / 5'000 % 2 == 1;
    for (int over = shrinks ? 2 : 0; over > 0 && !wanted.empty(); --over) {
      backlog->first_is_over();
      wanted.erase(wanted.begin());
    }
    if (number % 1'000 == 0) {
      ASSERT_EQ(left_in(*backlog), wanted) << number;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(AuditBacklog, TellsWhereTheFirstOneWasToBeWritten) {
  AuditBacklog* const backlog = AuditBacklog::create();
  ASSERT_NE(backlog, nullptr);
  ASSERT_TRUE(backlog->add(record_of(1), 1000) && backlog->add(record_of(2), 1000));
  EXPECT_EQ(backlog->mark_of_first(), nullptr);
  backlog->begin_first();
  EXPECT_EQ(backlog->mark_of_first(), nullptr) << "nothing was written to a file";
  backlog->mark().bytes = 5;
  ASSERT_NE(backlog->mark_of_first(), nullptr);
  EXPECT_EQ(backlog->mark_of_first()->bytes, 5U);
  backlog->first_is_over();
  EXPECT_EQ(backlog->mark_of_first(), nullptr) << "of the one before";
}

/// Takes records while it is open, and fails while it is full.
class Output final : public AuditOutput {
 public:
  struct Shared {
    Mutex mutex;
    Condition changed;
    bool open GUARDED_BY(mutex) = true;
    bool full GUARDED_BY(mutex) = false;
    std::vector<std::string> lines GUARDED_BY(mutex);

    void set(bool is_open, bool is_full) {
      const MutexLock lock(mutex);
      open = is_open;
      full = is_full;
      changed.notify_all();
    }
    std::vector<std::string> seen() {
      const MutexLock lock(mutex);
      return lines;
    }
  };

  explicit Output(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  Result<void, std::string> write(const AuditRecord& record) override {
    const MutexLock lock(shared_->mutex);
    while (!shared_->open) shared_->changed.wait(shared_->mutex);
    if (shared_->full) return std::string("it is full");
    shared_->lines.push_back(audit_text(record));
    return {};
  }

 private:
  const std::shared_ptr<Shared> shared_;
};

class AuditLogTest : public ::testing::Test {
 protected:
  void TearDown() override { output_->set(true, false); }

  std::shared_ptr<Output::Shared> output_ = std::make_shared<Output::Shared>();
  AuditLog log_{std::make_unique<Output>(output_)};
};

TEST_F(AuditLogTest, WritesAlsoWhatWasAddedBeforeItBegan) {
  log_.add(record_of(1), 0);
  ASSERT_TRUE(log_.begin());
  log_.add(record_of(2), 0);
  EXPECT_TRUE(log_.flush(seconds(10)));
  EXPECT_EQ(output_->seen(), (std::vector<std::string>{"act number=1", "act number=2"}));
  EXPECT_EQ(log_.lost(), 0U);
}

TEST_F(AuditLogTest, NobodyWaitsForAnOutputThatIsStuck) {
  output_->set(false, false);
  ASSERT_TRUE(log_.begin());
  constexpr unsigned kRecords = 3 * AuditLog::kMostRecords;
  for (unsigned number = 0; number < kRecords; ++number) log_.add(record_of(0), 1000);
  log_.add(record_of(1), 1001);
  log_.add(record_of(2), AuditLog::kNobody);
  EXPECT_FALSE(log_.flush(milliseconds(10)));
  output_->set(true, false);
  EXPECT_TRUE(log_.flush(seconds(10)));
  const auto seen = output_->seen();
  const auto has = [&seen](const std::string& line) {
    return std::find(seen.begin(), seen.end(), line) != seen.end();
  };
  EXPECT_TRUE(has("act number=1")) << "one user hides what another did";
  EXPECT_TRUE(has("act number=2"));
  EXPECT_GE(seen.size(), AuditLog::kMostRecords / 2);
  // Told once or twice: the thread may have begun to write before all was added.
  constexpr std::string_view kLost = "lost records=";
  std::uint64_t told = 0;
  std::size_t tellings = 0;
  for (const std::string& line : seen) {
    if (!line.starts_with(kLost)) continue;
    told += std::stoull(line.substr(kLost.size()));
    ++tellings;
  }
  EXPECT_EQ(told, log_.lost());
  EXPECT_EQ(seen.size() - tellings + log_.lost(), kRecords + 2);
}

TEST_F(AuditLogTest, WhatTheOutputLosesIsToldWhenItTakesRecordsAgain) {
  ASSERT_TRUE(log_.begin());
  output_->set(true, true);
  for (int number = 0; number < 5; ++number) log_.add(record_of(number), 0);
  log_.lose_one();
  EXPECT_TRUE(log_.flush(seconds(10)));
  output_->set(true, false);
  log_.add(record_of(9), 0);
  EXPECT_TRUE(log_.flush(seconds(10)));
  EXPECT_EQ(output_->seen(), (std::vector<std::string>{"lost records=6", "act number=9"}));
  EXPECT_EQ(log_.lost(), 6U);
}

/// Adds them as audit() does; how many were allowed.
std::uint64_t add_allowed(AuditLog& log, int records, uid_t cause) {
  std::uint64_t allowed = 0;
  for (int number = 0; number < records; ++number) {
    if (!log.allows(cause)) continue;
    log.add(record_of(number), cause);
    ++allowed;
  }
  return allowed;
}

/// Of the records "left_out" for a user.
struct LeftOut {
  std::size_t tellings = 0;
  std::uint64_t records = 0;
};
LeftOut left_out(const std::vector<std::string>& lines, uid_t user) {
  const std::string beginning = "left_out uid=" + std::to_string(user) + " records=";
  LeftOut found;
  for (const std::string& line : lines) {
    if (!line.starts_with(beginning)) continue;
    found.records += std::stoull(line.substr(beginning.size()));
    ++found.tellings;
  }
  return found;
}

TEST_F(AuditLogTest, OneUserCausesSoManyRecordsAndWhatIsLeftOutIsTold) {
  ASSERT_TRUE(log_.begin());
  constexpr int kRecords = 5000;
  const std::uint64_t allowed = add_allowed(log_, kRecords, 1000);
  EXPECT_GE(allowed, 256U);
  EXPECT_LT(allowed, kRecords / 2);
  EXPECT_EQ(add_allowed(log_, 10, 1001), 10U) << "one user takes another's allowance";
  EXPECT_EQ(add_allowed(log_, 1000, AuditLog::kNobody), 1000U);
  EXPECT_TRUE(log_.flush(seconds(10)));
  const auto seen = output_->seen();
  const LeftOut told = left_out(seen, 1000);
  EXPECT_EQ(told.records + allowed, kRecords);
  EXPECT_EQ(seen.size(), allowed + 10 + 1000 + told.tellings);
  EXPECT_EQ(log_.lost(), 0U);
}

TEST_F(AuditLogTest, WhatIsLeftOutIsToldOnceASecondThoughNothingElseComes) {
  ASSERT_TRUE(log_.begin());
  const auto began = std::chrono::steady_clock::now();
  add_allowed(log_, 1000, 1000);
  while (left_out(output_->seen(), 1000).tellings == 0) {
    ASSERT_LT(std::chrono::steady_clock::now() - began, seconds(30));
    add_allowed(log_, 1000, 1000);
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, AuditLog::kBetweenTellings);
  const std::size_t tellings = left_out(output_->seen(), 1000).tellings;
  add_allowed(log_, 1000, 1000);
  EXPECT_LE(left_out(output_->seen(), 1000).tellings, tellings + 1);
}

/// Also where nobody else adds anything, and the output takes nothing when it is told.
TEST_F(AuditLogTest, WhatIsLeftOutIsLostWhereTheOutputTakesNothing) {
  ASSERT_TRUE(log_.begin());
  output_->set(true, true);
  constexpr int kRecords = 5000;
  add_allowed(log_, kRecords, 1000);
  EXPECT_TRUE(log_.flush(seconds(10)));
  EXPECT_EQ(log_.lost(), kRecords);
}

TEST_F(AuditLogTest, WhatIsNotWrittenWhenNobodyWaitsAnyMoreIsCounted) {
  ASSERT_TRUE(log_.begin());
  output_->set(false, false);
  constexpr int kRecords = 5000;
  add_allowed(log_, kRecords, 1000);
  EXPECT_FALSE(log_.flush(milliseconds(1500))) << "longer than until it is told what was left out";
  EXPECT_EQ(log_.lost(), kRecords);
  output_->set(true, false);
  EXPECT_TRUE(log_.flush(seconds(10)));
  EXPECT_LT(log_.lost(), kRecords) << "what waited was written after all";
}

}  // namespace
}  // namespace shmvisor
