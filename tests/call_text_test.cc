// A call on its way to people: the line that a run sends, and what a client prints of it.
#include "supervisor/client/call_text.h"

#include <gtest/gtest.h>

#include <cstring>

#include "supervisor/control/call_line.h"

namespace shmvisor {
namespace {

using client::as_event;
using client::as_strace;
using client::event_kind;
using client::Json;

CallEvent event_of(ShmOperation operation) {
  CallEvent event;
  event.pid = event.tid = 7;
  event.took = std::chrono::microseconds(12);
  std::strcpy(event.command.data(), "me");  // NOLINT
  event.decoded = true;
  event.call.operation = operation;
  return event;
}
Json sent(const CallEvent& event, const std::string& registry = "main") {
  const std::string line = call_line(event, registry);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  return Json::parse(line).at("call");
}
std::string traced(const CallEvent& event) { return as_strace(sent(event)); }

CallEvent creation() {
  CallEvent event = event_of(ShmOperation::kShmget);
  event.call.key = 0x77;
  event.call.size_bytes = 4096;
  event.call.shmflg = 03640;
  event.value = event.shmid = 5;
  event.changed = true;
  return event;
}

TEST(CallTextTest, PrintsAsStraceDoes) {
  EXPECT_EQ(traced(creation()),
            "[pid 7<me>] shmget(0x77, 4096, IPC_CREAT|IPC_EXCL|0640) = 5 <0.000012>");
  CallEvent found = event_of(ShmOperation::kShmget);
  found.call.shmflg = 0x40000000;
  EXPECT_EQ(traced(found),
            "[pid 7<me>] shmget(IPC_PRIVATE, 0, 16<<SHM_HUGE_SHIFT|000) = 0 <0.000012>");
  found.call.shmflg = 0x54000000 | 04000 | 0x100000;
  EXPECT_EQ(traced(found),
            "[pid 7<me>] shmget(IPC_PRIVATE, 0, SHM_HUGETLB|0x100000|21<<SHM_HUGE_SHIFT|000) = 0 "
            "<0.000012>");
  CallEvent attach = event_of(ShmOperation::kShmat);
  attach.call.shmid = 5;
  attach.call.shmflg = 030000;
  attach.value = 0x7f0000000000;
  EXPECT_EQ(traced(attach),
            "[pid 7<me>] shmat(5, NULL, SHM_RDONLY|SHM_RND) = 0x7f0000000000 <0.000012>");
  attach.call.shmflg = 0x100000;
  EXPECT_EQ(traced(attach),
            "[pid 7<me>] shmat(5, NULL, 0x100000 /* SHM_??? */) = 0x7f0000000000 <0.000012>");
  attach.call.shmflg = 0x101000;
  EXPECT_EQ(traced(attach),
            "[pid 7<me>] shmat(5, NULL, SHM_RDONLY|0x100000) = 0x7f0000000000 <0.000012>");
  CallEvent control = event_of(ShmOperation::kShmctl);
  control.call.command = 0x163;
  EXPECT_EQ(traced(control),
            "[pid 7<me>] shmctl(0, IPC_64|0x63 /* SHM_??? */, NULL) = 0 <0.000012>");
  std::strcpy(control.command.data(), "a<1>b");  // NOLINT
  control.call.command = 2;
  EXPECT_EQ(traced(control), "[pid 7<a\\0741\\76b>] shmctl(0, IPC_STAT, NULL) = 0 <0.000012>");
  attach.completed_by_caller = true;
  attach.call.shmflg = 0;
  EXPECT_EQ(traced(attach), "[pid 7<me>] shmat(5, NULL, 0) = ? <mapped by the caller> <0.000012>");
  CallEvent detach = event_of(ShmOperation::kShmdt);
  detach.call.address = 0x1000;
  EXPECT_EQ(traced(detach), "[pid 7<me>] shmdt(0x1000) = 0 <0.000012>");
  CallEvent removal = event_of(ShmOperation::kShmctl);
  removal.call.shmid = -1;
  removal.value = -EINVAL;
  EXPECT_EQ(traced(removal),
            "[pid 7<me>] shmctl(-1, IPC_RMID, NULL) = -1 EINVAL (Invalid argument) <0.000012>");
  removal.call.command = 99;
  removal.call.address = 0x20;
  EXPECT_EQ(traced(removal).substr(0, 56),
            "[pid 7<me>] shmctl(-1, 0x63 /* SHM_??? */, 0x20) = -1 EI");
}

TEST(CallTextTest, DecodesWhatAShmctlWritesAndReads) {
  CallEvent event = event_of(ShmOperation::kShmctl);
  event.call.command = 2;
  event.call.address = 0x20;
  ShmidDs ds;
  ds.mode = 0640;
  ds.key = 0x77;
  ds.segsz_bytes = 5000;
  ds.cpid = 7;
  event.contents = ds;
  EXPECT_EQ(traced(event),
            "[pid 7<me>] shmctl(0, IPC_STAT, {shm_perm={uid=0, gid=0, mode=0640, key=119, cuid=0, "
            "cgid=0}, shm_segsz=5000, shm_cpid=7, shm_lpid=0, shm_nattch=0, shm_atime=0, "
            "shm_dtime=0, shm_ctime=0}) = 0 <0.000012>");
  event.call.command = 1;
  event.contents = IpcSetRequest{static_cast<uid_t>(-1), 2, 0};
  EXPECT_EQ(traced(event),
            "[pid 7<me>] shmctl(0, IPC_SET, {shm_perm={uid=-1, gid=2, mode=000}}) = 0 <0.000012>");
  ds.key = static_cast<key_t>(0x8a000077);
  event.contents = ds;
  EXPECT_NE(traced(event).find("key=2315255927, "), std::string::npos);
}

TEST(CallTextTest, SaysWhatDenied) {
  CallEvent denied = creation();
  denied.value = -EINVAL;
  denied.shmid = -1;
  denied.changed = false;
  denied.denial = {Denial::Reason::kShmmax, 100, 4096, 0};
  EXPECT_NE(traced(denied).find("[4096 bytes are more than shmmax, 100]"), std::string::npos);
  const Json call = sent(denied);
  EXPECT_EQ(call.at("denied_by"), "shmmax");
  EXPECT_EQ(event_kind(call), "refusal");
  EXPECT_NE(as_event(call).find(" refusal key=0x00000077 bytes=4096 pid=7 command=me"),
            std::string::npos)
      << as_event(call);
}

TEST(CallTextTest, TellsEventsFromOtherCalls) {
  EXPECT_EQ(event_kind(sent(creation())), "create");
  CallEvent found = creation();
  found.changed = false;
  EXPECT_EQ(event_kind(sent(found)), "");
  EXPECT_EQ(event_kind(sent(event_of(ShmOperation::kShmat))), "attach");
  EXPECT_EQ(event_kind(sent(event_of(ShmOperation::kShmdt))), "detach");
  CallEvent control = event_of(ShmOperation::kShmctl);
  EXPECT_EQ(event_kind(sent(control)), "remove");
  control.call.command = abi::kIpcStat;
  EXPECT_EQ(event_kind(sent(control)), "");
  control.value = -EINVAL;  // no limit and no right denied it
  control.call.command = abi::kIpcRmid;
  EXPECT_EQ(event_kind(sent(control)), "");
}

TEST(CallTextTest, EveryNameIsHarmless) {
  CallEvent event = creation();
  std::memcpy(event.command.data(), "\x1b[2J\"\\\n\x07\xff", 9);
  const Json call = sent(event, "a\"b\\c\n");
  EXPECT_EQ(call.at("command"), "?[2J\"\\???");
  EXPECT_EQ(call.at("registry"), "a\"b\\c?");
  EXPECT_EQ(as_strace(call).find('\x1b'), std::string::npos);
  EXPECT_NE(as_event(call).find(R"( command="?[2J\"\\???" uid=)"), std::string::npos);
}

TEST(CallTextTest, ANameForgesNothing) {
  CallEvent event = creation();
  std::strcpy(event.command.data(), "a> x() uid=0");  // NOLINT
  const Json call = sent(event);
  EXPECT_EQ(as_strace(call).find("[pid 7<a\\76 x() uid=0>] shmget("), 0U) << as_strace(call);
  EXPECT_NE(as_event(call).find(R"( command="a> x() uid=0" uid=)"), std::string::npos);
  event.command.fill('\0');
  EXPECT_NE(as_event(sent(event)).find(R"( command="" uid=)"), std::string::npos);
}

TEST(CallTextTest, ACallThatIsNoneOfOurs) {
  CallEvent event;
  event.number = 999;
  event.value = -ENOSYS;
  const Json call = sent(event);
  EXPECT_EQ(call.at("name"), "unknown");
  EXPECT_EQ(call.at("number"), 999);
  EXPECT_NE(as_strace(call).find("unknown(...) = -1 ENOSYS"), std::string::npos);
}

}  // namespace
}  // namespace shmvisor
