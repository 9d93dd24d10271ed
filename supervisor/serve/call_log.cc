#include "supervisor/serve/call_log.h"

#include <cstring>

#include "supervisor/log/limited_log.h"
#include "supervisor/procfs/process_name.h"

namespace shmvisor {
namespace {

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

}  // namespace

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
  }
  return "for another reason";
}

void CallLog::decided(const CallRecord& record) {
  if (!record.denial.known() || !record.call || !spdlog::should_log(spdlog::level::info)) return;
  const char* const error = ::strerrorname_np(static_cast<int>(-record.value));
  log_limited(spdlog::level::info, LogTopic::kRefusedCalls, record.caller.account(),
              "{} of thread {} ({}), user {}, fails with {}: {}", name_of(record.call->operation),
              record.tid, process_name(record.tid), record.caller.subject().euid(),
              error == nullptr ? "an error" : error, describe(record.denial));
}

void CallLog::answered(const CallRecord& record, bool delivered) {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  const auto& arguments = record.raw.arguments;
  spdlog::debug("thread {}: call {}({:#x}, {:#x}, {:#x}) = {}{}{}", record.tid, record.raw.number,
                arguments[0], arguments[1], arguments[2], record.value,
                record.completed_by_caller ? ", left to it" : "",
                delivered ? "" : ", not delivered");
}

}  // namespace shmvisor
