// Whose audit records refusals count as.
#include "supervisor/serve/call_audit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "emulation/abi/shm_abi.h"
#include "supervisor/audit/process_audit.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

constexpr uid_t kPayer = 1000;
constexpr int kRefusals = 2 * AuditLog::kRecordsAtOnce;

/// Of a process that has an audit of its own, as the test program's must not have one for good: 0
/// where the refusals were the payer's.
int refuse_as_many_users(const std::string& file) {
  AuditOptions options;
  options.place = file;
  if (open_process_audit(options, {"run", "", ::getpid()}, AuditOf::kProcess) ||
      begin_process_audit()) {
    return 1;
  }
  CallAudit audit({});
  const RawCall raw{Abi::kX86_64, 29, {0, 4096, 01600}};
  const auto decoded = decode(raw);
  const Denial denial{Denial::Reason::kCallsOfUser, 5, 0, 5};
  for (int number = 0; number < kRefusals; ++number) {
    CallOrigin origin{.pid = ::getpid(), .tid = gettid()};
    origin.euid = kPayer + 1 + static_cast<uid_t>(number);
    origin.account = kPayer;
    audit.refused(
        {.origin = origin, .raw = raw, .call = decoded, .value = -ENOMEM, .denial = denial});
  }
  if (process_audit()->allows(kPayer)) return 2;
  return process_audit()->allows(kPayer + 1) ? 0 : 3;
}

TEST(CallAuditTest, ManyEffectiveUsersOfOneArePaidForByThatOne) {
  const ScratchFolder folder;
  EXPECT_EXIT(::_exit(refuse_as_many_users(folder.path("audit"))), ::testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace shmvisor
