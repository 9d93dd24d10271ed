// What the log says of a process that is out of reach.
#include "supervisor/process/refusals.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class RefusalsTest : public ::testing::Test {
 protected:
  RefusalsTest() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)));
  }
  ~RefusalsTest() override { spdlog::set_default_logger(before_); }

  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream log_;
};

TEST_F(RefusalsTest, TellsOnceAndRepeatsNothingThatATerminalWouldObey) {
  Gate named;
  Child child([&] {
    ::prctl(PR_SET_NAME, "a\x1b[2Jb\rc\xff");
    named.open();
    return ::pause();
  });
  ASSERT_TRUE(named.pass());
  Refusals refusals;
  refusals.warn_of(child.pid());
  EXPECT_NE(log_.str().find("(a?[2Jb?c?)"), std::string::npos) << log_.str();
  const std::string once = log_.str();
  refusals.warn_of(child.pid());
  EXPECT_EQ(log_.str(), once);
}

}  // namespace
}  // namespace shmvisor
