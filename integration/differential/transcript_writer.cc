#include "integration/differential/transcript_writer.h"

#include <linux/shm.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace shmvisor {
namespace {

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%#" PRIx64, value);
  return text.data();
}

std::string octal(std::uint64_t value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%#" PRIo64, value);
  return text.data();
}

bool answers_address(Kind kind) {
  return kind == Kind::kShmat || kind == Kind::kMremap || kind == Kind::kMmap;
}

template <typename Structure>
Structure structure_in(const Response& response) {
  static_assert(sizeof(Structure) <= sizeof(response.buffer));
  Structure structure;
  std::memcpy(&structure, response.buffer, sizeof(structure));
  return structure;
}

}  // namespace

TranscriptWriter::TranscriptWriter(uid_t first_user)
    : first_user_(first_user), start_(std::time(nullptr)) {}

void TranscriptWriter::begin_line(std::size_t number) { text_ += std::to_string(number); }

void TranscriptWriter::field(std::string_view name, std::string_view value) {
  text_.append(" ").append(name).append("=").append(value);
}

const std::set<std::string>& TranscriptWriter::segments_of(const TestMapping& mapping) const {
  static const std::set<std::string> none;
  const auto found = segments_.find({mapping.file, mapping.name});
  return found == segments_.end() ? none : found->second;
}

void TranscriptWriter::tick() {
  // time(2) and the kernel's own stamps read the same second.
  const std::time_t before = std::time(nullptr);
  while (std::time(nullptr) == before) ::usleep(5000);
  ticks_.push_back(before + 1);
}

std::string TranscriptWriter::error_text(int error) {
  const char* const name = ::strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

std::string TranscriptWriter::time_text(std::int64_t seconds) const {
  if (seconds == 0) return "0";
  if (seconds < start_) return "before-the-run";
  if (seconds > std::time(nullptr)) return "in-the-future";
  const auto after = std::upper_bound(ticks_.begin(), ticks_.end(), seconds);
  return "t" + std::to_string(after - ticks_.begin());
}

std::string TranscriptWriter::process_text(std::int64_t pid) const {
  if (pid == 0) return "0";
  const auto found = processes_.find(static_cast<pid_t>(pid));
  return found == processes_.end() ? "unknown" : "P" + std::to_string(found->second);
}

std::string TranscriptWriter::user_text(std::int64_t uid) const {
  const std::int64_t own = uid - std::int64_t{first_user_};
  return own >= 0 && own < kUsers ? "u" + std::to_string(own) : std::to_string(uid);
}

void TranscriptWriter::result(const Operation& operation, const Response& response) {
  if (response.signal != 0) {
    field("signal", response.signal == SIGBUS ? "SIGBUS" : "SIGSEGV");
  } else if (response.error != 0) {
    field("result", error_text(response.error));
  } else if (answers_address(operation.kind)) {
    field("result", address_text(static_cast<std::uint64_t>(response.result)));
  } else if (operation.kind == Kind::kRead) {
    field("result", hexadecimal(static_cast<std::uint64_t>(response.result)));
  } else {
    field("result", std::to_string(response.result));
  }
}

void TranscriptWriter::shmctl(int command, bool buffer_given, const Response& response) {
  const bool touched = std::any_of(std::begin(response.buffer), std::end(response.buffer),
                                   [](std::uint8_t byte) { return byte != kUntouched; });
  if (command == IPC_SET) return;  // the buffer was filled beforehand
  field("buffer", touched ? "written" : "untouched");
  if (!touched || !buffer_given || response.error != 0) return;
  switch (command) {
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
      return segment(response);
    case IPC_INFO: {
      const auto info = structure_in<shminfo64>(response);
      field("shmmax", hexadecimal(info.shmmax));
      field("shmmin", std::to_string(info.shmmin));
      field("shmmni", std::to_string(info.shmmni));
      field("shmseg", std::to_string(info.shmseg));
      field("shmall", hexadecimal(info.shmall));
      return;
    }
    case SHM_INFO: {
      const auto info = structure_in<shm_info>(response);
      field("used_ids", std::to_string(info.used_ids));
      field("shm_tot", std::to_string(info.shm_tot));
      field("shm_rss", std::to_string(info.shm_rss));
      field("shm_swp", std::to_string(info.shm_swp));
      field("swap_attempts", std::to_string(info.swap_attempts));
      field("swap_successes", std::to_string(info.swap_successes));
      return;
    }
    default:
      return;
  }
}

void TranscriptWriter::segment(const Response& response) {
  const auto ds = structure_in<shmid64_ds>(response);
  field("key", hexadecimal(static_cast<std::uint32_t>(ds.shm_perm.key)));
  field("uid", user_text(ds.shm_perm.uid));
  field("gid", std::to_string(ds.shm_perm.gid));
  field("cuid", user_text(ds.shm_perm.cuid));
  field("cgid", std::to_string(ds.shm_perm.cgid));
  field("mode", octal(ds.shm_perm.mode));
  field("seq", std::to_string(ds.shm_perm.seq));
  field("segsz", hexadecimal(ds.shm_segsz));
  field("atime", time_text(ds.shm_atime));
  field("dtime", time_text(ds.shm_dtime));
  field("ctime", time_text(ds.shm_ctime));
  field("cpid", process_text(ds.shm_cpid));
  field("lpid", process_text(ds.shm_lpid));
  field("nattch", std::to_string(ds.shm_nattch));
  // Whatever the structure has beyond its named fields.
  std::uint64_t rest = 0;
  for (std::size_t i = sizeof(ds); i < sizeof(response.buffer); ++i) {
    rest += response.buffer[i] != kUntouched ? 1 : 0;
  }
  field("beyond", std::to_string(rest));
}

std::vector<int> TranscriptWriter::proc_table(std::string_view table) {
  const std::size_t heading_end = std::min(table.find('\n'), table.size());
  std::string heading(table.substr(0, heading_end));
  std::replace(heading.begin(), heading.end(), ' ', '_');
  field("heading", heading);
  std::vector<int> identifiers;
  table.remove_prefix(std::min(heading_end + 1, table.size()));
  while (!table.empty()) {
    const std::size_t end = std::min(table.find('\n'), table.size());
    identifiers.push_back(table_row(table.substr(0, end)));
    table.remove_prefix(std::min(end + 1, table.size()));
  }
  return identifiers;
}

/// sysvipc_shm_proc_show() of ipc/shm.c.
int TranscriptWriter::table_row(std::string_view row) {
  std::array<std::int64_t, 16> columns{};
  const std::string copy(row);
  char* at = const_cast<char*>(copy.c_str());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    columns[i] = static_cast<std::int64_t>(std::strtoull(at, &at, i == 2 ? 8 : 10));
  }
  constexpr std::array<const char*, 16> kNames = {
      "key", "shmid", "perms", "size",  "cpid",  "lpid",  "nattch", "uid",
      "gid", "cuid",  "cgid",  "atime", "dtime", "ctime", "rss",    "swap"};
  const std::string prefix = "row" + std::to_string(columns[1]) + ".";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::string value = std::to_string(columns[i]);
    if (i == 4 || i == 5) value = process_text(columns[i]);
    if (i == 7 || i == 9) value = user_text(columns[i]);
    if (i >= 11 && i <= 13) value = time_text(columns[i]);
    field(prefix + kNames[i], value);
  }
  field(prefix + "width", std::to_string(row.size()));
  return static_cast<int>(columns[1]);
}

void TranscriptWriter::mapping(const TestMapping& mapping, std::string_view moment) {
  const std::set<std::string>& segments = segments_of(mapping);
  std::string segment = "other";
  if (!segments.empty()) {
    const std::string& name = *segments.begin();  // all have the same identifier
    segment = "segment:" + name.substr(name.find('.') + 1);
  }
  field(std::string(moment) + ":" + address_text(mapping.start),
        hexadecimal(mapping.end - mapping.start) + "," + mapping.rights + "," +
            hexadecimal(mapping.offset_bytes) + "," + segment + "," + mapping.name);
}

}  // namespace shmvisor
