#include "supervisor/launch/pid_variables.h"

#include <array>
#include <cstring>
#include <string>

#include "tests/supervised_child.h"

namespace shmvisor {
namespace {

class PidVariablesTest : public ::testing::Test {
 protected:
  /// What a child finds in place of `variable`.
  std::string renamed(std::string variable) {
    std::string other = "OTHER=" + std::to_string(::getpid());
    std::array<char*, 3> environment{variable.data(), other.data(), nullptr};
    const PidVariables variables(environment.data());
    Child child([&] {
      char** const found = variables.renamed();
      std::strncpy(found_->text, found[0], sizeof(found_->text) - 1);
      found_->pid = ::getpid();
      return std::strcmp(found[1], other.c_str()) == 0 && found[2] == nullptr ? 0 : 1;
    });
    EXPECT_EQ(exit_status_of(child), 0);
    return found_->text;
  }

  struct Found {
    char text[128] = {};
    pid_t pid = 0;
  };
  SharedPage<Found> found_;
};

TEST_F(PidVariablesTest, WhatNamesUsNamesTheChild) {
  for (const std::string name : {"LISTEN_PID=", "WATCHDOG_PID=", "SYSTEMD_EXEC_PID="}) {
    const std::string found = renamed(name + std::to_string(::getpid()));
    EXPECT_EQ(found, name + std::to_string(found_->pid));
  }
}

TEST_F(PidVariablesTest, WhatNamesAnotherStays) {
  for (const std::string variable :
       {"LISTEN_PID=1", "LISTEN_PID=", "LISTEN_PID=x", "LISTEN_PIDFDID=1",
        "LISTEN_PIDFDID=", "WATCHDOG_PID=99999999999999999999", "LISTEN_FDS=1"}) {
    EXPECT_EQ(renamed(variable), variable);
  }
  const std::string longer = "LISTEN_PID=" + std::to_string(::getpid()) + "x";
  EXPECT_EQ(renamed(longer), longer);
}

}  // namespace
}  // namespace shmvisor
