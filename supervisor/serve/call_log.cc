#include "supervisor/serve/call_log.h"

#include <cstring>
#include <exception>

#include "supervisor/log/limited_log.h"
#include "supervisor/procfs/process_name.h"

namespace shmvisor {

const char* name_of(ShmOperation operation) {
  switch (operation) {
    case ShmOperation::kShmget:
      return "shmget";
    case ShmOperation::kShmat:
      return "shmat";
    case ShmOperation::kShmdt:
      return "shmdt";
    case ShmOperation::kShmctl:
      return "shmctl";
  }
  return "a call";
}

const char* name_of(Denial::Reason reason) {
  switch (reason) {
    case Denial::Reason::kNone:
      return "none";
    case Denial::Reason::kShmmin:
      return "shmmin";
    case Denial::Reason::kShmmax:
      return "shmmax";
    case Denial::Reason::kShmall:
      return "shmall";
    case Denial::Reason::kShmmni:
      return "shmmni";
    case Denial::Reason::kUserShmmax:
      return "user-shmmax";
    case Denial::Reason::kUserShmall:
      return "user-shmall";
    case Denial::Reason::kUserShmmni:
      return "user-shmmni";
    case Denial::Reason::kRule:
      return "rule";
    case Denial::Reason::kFault:
      return "fault";
    case Denial::Reason::kSmallerSegment:
      return "size";
    case Denial::Reason::kMode:
      return "mode";
    case Denial::Reason::kOwner:
      return "owner";
    case Denial::Reason::kMemlock:
      return "memlock";
    case Denial::Reason::kHugetlbGroup:
      return "hugetlb_shm_group";
    case Denial::Reason::kOvercommit:
      return "overcommit";
    case Denial::Reason::kRoom:
      return "commit";
    case Denial::Reason::kDescriptors:
    case Denial::Reason::kDescriptorsOfGroup:
    case Denial::Reason::kDescriptorsOfUser:
      return "descriptors";
    case Denial::Reason::kCallsOfUser:
      return "calls";
    case Denial::Reason::kTracing:
      return "tracing";
  }
  return "other";
}

/// `line`: 0 for a rule of a drop-in.
std::string rule_text(std::uint64_t place, std::uint64_t line) {
  std::string text = fmt::format("rule {} of the configuration", place);
  if (line != 0) text += fmt::format(" (line {})", line);
  return text;
}

std::string describe(const Denial& denial) {
  const auto& [reason, limit, asked, taken] = denial;
  switch (reason) {
    case Denial::Reason::kNone:
      break;
    case Denial::Reason::kShmmin:
      return fmt::format("{} bytes are less than SHMMIN, {}", asked, limit);
    case Denial::Reason::kShmmax:
      return fmt::format("{} bytes are more than shmmax, {}", asked, limit);
    case Denial::Reason::kShmall:
      return fmt::format("{} pages beside {} of other segments are more than shmall, {}", asked,
                         taken, limit);
    case Denial::Reason::kShmmni:
      return fmt::format("there are {} segments, and shmmni is {}", taken, limit);
    case Denial::Reason::kUserShmmax:
      return fmt::format("{} bytes are more than this user's shmmax, {}", asked, limit);
    case Denial::Reason::kUserShmall:
      return fmt::format(
          "{} pages beside {} of this user's other segments are more than its shmall, {}", asked,
          taken, limit);
    case Denial::Reason::kUserShmmni:
      return fmt::format("this user has {} segments, and its shmmni is {}", taken, limit);
    case Denial::Reason::kRule:
      return rule_text(limit, asked) + " denies it";
    case Denial::Reason::kFault:
      return rule_text(limit, asked) + " makes it fail";
    case Denial::Reason::kSmallerSegment:
      return fmt::format("{} bytes are more than the segment of this key has, {}", asked, limit);
    case Denial::Reason::kMode:
      return fmt::format("the mode of the segment, {:#o}, does not grant {:#o}", limit, asked);
    case Denial::Reason::kOwner:
      return fmt::format("the segment is user {}'s", limit);
    case Denial::Reason::kMemlock:
      return fmt::format("{} pages to lock beside {} of this user are more than RLIMIT_MEMLOCK, {}",
                         asked, taken, limit);
    case Denial::Reason::kHugetlbGroup:
      return fmt::format(
          "huge pages are for group {} (vm.hugetlb_shm_group) and CAP_IPC_LOCK alone", limit);
    case Denial::Reason::kOvercommit:
      return limit == 0 ? fmt::format("{} bytes are more than vm.overcommit_memory=2 allows", asked)
                        : fmt::format(
                              "{} bytes are more than all memory and swap, {} "
                              "(vm.overcommit_memory=0)",
                              asked, limit);
    case Denial::Reason::kRoom:
      return fmt::format("--commit: {} bytes are more than there is room for, {}", asked, limit);
    case Denial::Reason::kDescriptors:
      return fmt::format(
          "all {} descriptors for segments and IPC namespaces are taken; raise "
          "RLIMIT_NOFILE (ulimit -n)",
          limit);
    case Denial::Reason::kDescriptorsOfGroup:
      return fmt::format(
          "its containers have {} descriptors and may have {}, so that others get "
          "some; raise RLIMIT_NOFILE (ulimit -n)",
          taken, limit);
    case Denial::Reason::kDescriptorsOfUser:
      return fmt::format(
          "its user has {} descriptors and may have {}, so that others get some; "
          "raise RLIMIT_NOFILE (ulimit -n)",
          taken, limit);
    case Denial::Reason::kCallsOfUser:
      return "its user keeps as many calls in service as it may, and no more may wait";
    case Denial::Reason::kTracing:
      return "shmvisor may not trace it, ptrace(2), and so cannot reach its memory";
  }
  return "for another reason";
}

namespace {

void log_denial(const CallRecord& record) {
  const char* const error = ::strerrorname_np(static_cast<int>(-record.value));
  log_limited(spdlog::level::info, LogTopic::kRefusedCalls, record.caller.account(),
              "{} of thread {} ({}), user {}, fails with {}: {}", name_of(record.call->operation),
              record.origin.tid, process_name(record.origin.tid), record.caller.subject().euid(),
              error == nullptr ? "an error" : error, describe(record.denial));
}

void log_call(const CallOrigin& origin, const RawCall& raw, std::int64_t value, const char* more) {
  const auto& arguments = raw.arguments;
  spdlog::debug("thread {}: call {}({:#x}, {:#x}, {:#x}) = {}{}", origin.tid, raw.number,
                arguments[0], arguments[1], arguments[2], value, more);
}

}  // namespace

void CallLog::decided(const CallRecord& record) noexcept {
  if (!record.denial.known() || !record.call || !spdlog::should_log(spdlog::level::info)) return;
  try {
    log_denial(record);
  } catch (const std::exception& error) {  // no memory, most likely
    log_limited(spdlog::level::info, LogTopic::kMemory, LogLimiter::kNobody,
                "nothing is told of a denied call of thread {}: {}", record.origin.tid,
                error.what());
  }
}

void CallLog::answered(const CallRecord& record, bool delivered) noexcept {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  const char* const undelivered =
      record.completed_by_caller ? ", completed by the caller, not delivered" : ", not delivered";
  const char* const as_usual = record.completed_by_caller ? ", completed by the caller" : "";
  log_call(record.origin, record.raw, record.value, delivered ? as_usual : undelivered);
}

void CallLog::refused(const RefusedCall& call) noexcept {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  log_call(call.origin, call.raw, call.value, ", refused");
}

}  // namespace shmvisor
