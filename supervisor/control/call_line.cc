#include "supervisor/control/call_line.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "policy/base/error_result.h"
#include "supervisor/serve/call_log.h"

namespace shmvisor {
namespace {

/// Appends members to an object of JSON.
class Members {
 public:
  explicit Members(std::string& text) : text_(text) {}

  template <typename Number>
  void number(const char* name, Number value) {
    begin(name);
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text_.append(digits.data(), end);
  }
  void text(const char* name, std::string_view value) {
    begin(name);
    text_ += '"';
    for (const char letter : value) {
      if (letter == '"' || letter == '\\') text_ += '\\';
      text_ += letter < ' ' || letter > '~' ? '?' : letter;
    }
    text_ += '"';
  }
  void flag(const char* name, bool value) {
    begin(name);
    text_ += value ? "true" : "false";
  }
  void raw(const char* name, std::string_view value) {
    begin(name);
    text_ += value;
  }

 private:
  void begin(const char* name) {
    if (text_.back() != '{') text_ += ',';
    text_ += '"';
    text_ += name;
    text_ += "\":";
  }

  std::string& text_;
};

void add_arguments(const ShmCall& call, Members& members) {
  switch (call.operation) {
    case ShmOperation::kShmget:
      members.number("key", call.key);
      members.number("size", call.size_bytes);
      members.number("shmflg", call.shmflg);
      break;
    case ShmOperation::kShmat:
      members.number("id", call.shmid);
      members.number("shmaddr", call.address);
      members.number("shmflg", call.shmflg);
      break;
    case ShmOperation::kShmdt:
      members.number("shmaddr", call.address);
      break;
    case ShmOperation::kShmctl:
      members.number("id", call.shmid);
      members.number("cmd", call.command);
      members.number("buf", call.address);
      break;
  }
}

struct AddContents {
  Members& members;

  template <typename Contents>
  void add_permissions(const Contents& contents) const {
    members.number("uid", contents.uid);
    members.number("gid", contents.gid);
    members.number("mode", contents.mode);
  }

  void operator()(const std::monostate& /*none*/) const {}
  void operator()(const ShmidDs& ds) const {
    add_permissions(ds);
    members.number("key", ds.key);
    members.number("cuid", ds.cuid);
    members.number("cgid", ds.cgid);
    members.number("shm_segsz", ds.segsz_bytes);
    members.number("shm_cpid", ds.cpid);
    members.number("shm_lpid", ds.lpid);
    members.number("shm_nattch", ds.nattch);
    members.number("shm_atime", ds.atime);
    members.number("shm_dtime", ds.dtime);
    members.number("shm_ctime", ds.ctime);
  }
  void operator()(const IpcSetRequest& wanted) const { add_permissions(wanted); }
  void operator()(const ShmInfoLimits& limits) const {
    members.number("shmmax", limits.shmmax);
    members.number("shmmin", limits.shmmin);
    members.number("shmmni", limits.shmmni);
    members.number("shmseg", limits.shmseg);
    members.number("shmall", limits.shmall);
  }
  void operator()(const ShmInfoUsage& usage) const {
    members.number("used_ids", usage.used_ids);
    members.number("shm_tot", usage.tot_pages);
    members.number("shm_rss", usage.rss_pages);
    members.number("shm_swp", usage.swp_pages);
  }
};

void add_contents(const ShmctlContents& contents, Members& members) {
  if (std::holds_alternative<std::monostate>(contents)) return;
  std::string text = "{";
  Members inner(text);
  std::visit(AddContents{inner}, contents);
  members.raw("contents", text + "}");
}

void add_result(const CallEvent& event, Members& members) {
  // The caller finds the address by itself.
  if (event.completed_by_caller && event.call.operation == ShmOperation::kShmat) {
    members.raw("result", "null");
  } else if (is_error_result(event.value)) {
    members.number("result", -1);
    const char* const name = ::strerrorname_np(static_cast<int>(-event.value));
    members.text("errno", name == nullptr ? "unknown" : name);
  } else {
    members.number("result", event.value);
  }
  if (event.shmid >= 0) members.number("shmid", event.shmid);
  if (event.changed) members.flag("changed", true);
  if (!event.delivered) members.flag("delivered", false);
  if (!event.denial.known()) return;
  members.text("denied_by", name_of(event.denial.reason));
  members.text("because", describe(event.denial));
}

std::string seconds_of(const CallEvent& event) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::microseconds>(event.answered_at.time_since_epoch());
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%lld.%06lld",
                static_cast<long long>(since_epoch.count() / 1'000'000),
                static_cast<long long>(since_epoch.count() % 1'000'000));
  return text.data();
}

std::string cleaned_line(const CallEvent& event, const std::string& registry) {
  const CleanedSegment& segment = event.cleaned;
  std::array<char, 16> key{};
  std::snprintf(key.data(), key.size(), "0x%08x", static_cast<unsigned>(segment.key));
  std::string line = "{\"cleaned\":{";
  Members members(line);
  members.raw("time", seconds_of(event));
  members.text("registry", registry);
  members.number("shmid", segment.shmid);
  members.text("key", key.data());
  members.number("segsz", segment.size_bytes);
  members.number("uid", segment.uid);
  members.number("cpid", segment.cpid);
  members.text("by", segment.by == CleanedBy::kOrphaned ? "orphaned" : "rmid-forced");
  line += "}}\n";
  return line;
}

}  // namespace

std::string call_line(const CallEvent& event, const std::string& registry) {
  if (event.cleaned.by != CleanedBy::kNothing) return cleaned_line(event, registry);
  std::string line = "{\"call\":{";
  Members members(line);
  members.raw("time", seconds_of(event));
  members.number("took_ns", event.took.count());
  members.number("pid", event.pid);
  members.number("tid", event.tid);
  members.number("uid", event.euid);
  members.text("command", event.command.data());
  members.text("registry", registry);
  members.text("name", event.decoded ? name_of(event.call.operation) : "unknown");
  if (event.decoded) {
    add_arguments(event.call, members);
    add_contents(event.contents, members);
  } else {
    members.number("number", event.number);
  }
  add_result(event, members);
  line += "}}\n";
  return line;
}

}  // namespace shmvisor
