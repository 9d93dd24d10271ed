#include "supervisor/client/call_text.h"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <utility>

#include "emulation/abi/shm_abi.h"

namespace shmvisor::client {
namespace {

struct Word {
  unsigned bits;
  const char* name;
};

constexpr std::array kGetFlags = {
    Word{abi::kIpcCreat, "IPC_CREAT"}, Word{abi::kIpcExcl, "IPC_EXCL"},
    Word{abi::kShmHugetlb, "SHM_HUGETLB"}, Word{abi::kShmNoreserve, "SHM_NORESERVE"}};
constexpr std::array kAttachFlags = {
    Word{abi::kShmRdonly, "SHM_RDONLY"}, Word{abi::kShmRnd, "SHM_RND"},
    Word{abi::kShmRemap, "SHM_REMAP"}, Word{abi::kShmExec, "SHM_EXEC"}};
constexpr std::array kCommands = {
    Word{abi::kIpcRmid, "IPC_RMID"},       Word{abi::kIpcSet, "IPC_SET"},
    Word{abi::kIpcStat, "IPC_STAT"},       Word{abi::kIpcInfo, "IPC_INFO"},
    Word{abi::kShmLock, "SHM_LOCK"},       Word{abi::kShmUnlock, "SHM_UNLOCK"},
    Word{abi::kShmStat, "SHM_STAT"},       Word{abi::kShmInfo, "SHM_INFO"},
    Word{abi::kShmStatAny, "SHM_STAT_ANY"}};

std::string hexadecimal(std::uint64_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
  return text.data();
}
std::string octal(unsigned number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%#03o", number);
  return text.data();
}

/// The names of the flags that are set, and what is left of `flags`.
template <std::size_t kCount>
std::pair<std::string, unsigned> named(unsigned flags, const std::array<Word, kCount>& words) {
  std::string names;
  for (const Word& word : words) {
    if ((flags & word.bits) == 0) continue;
    flags &= ~word.bits;
    names += (names.empty() ? "" : "|") + std::string(word.name);
  }
  return {names, flags};
}

std::string pointer(const Json& address) {
  const auto number = address.get<std::uint64_t>();
  return number == 0 ? "NULL" : hexadecimal(number);
}

/// As strace has what it has no name for.
std::string unknown(unsigned number) { return hexadecimal(number) + " /* SHM_??? */"; }

std::string get_flags(unsigned flags) {
  constexpr unsigned kHugeShift = 26;
  constexpr unsigned kHugeMask = 0x3fU << kHugeShift;
  const unsigned page_size = (flags & kHugeMask) >> kHugeShift;
  flags &= ~kHugeMask;
  auto [names, rest] = named(flags & ~static_cast<unsigned>(abi::kPermissionBits), kGetFlags);
  if (rest != 0) names += (names.empty() ? "" : "|") + hexadecimal(rest);
  if (page_size != 0) {
    names += (names.empty() ? "" : "|") + std::to_string(page_size) + "<<SHM_HUGE_SHIFT";
  }
  return names + (names.empty() ? "" : "|") + octal(flags & abi::kPermissionBits);
}

std::string attach_flags(unsigned flags) {
  auto [names, rest] = named(flags, kAttachFlags);
  if (rest != 0) names += names.empty() ? unknown(rest) : "|" + hexadecimal(rest);
  return names.empty() ? "0" : names;
}

std::string command(unsigned number) {
  constexpr unsigned kIpc64 = 0x100;
  const std::string prefix = (number & kIpc64) != 0 ? "IPC_64|" : "";
  number &= ~kIpc64;
  for (const Word& word : kCommands) {
    if (word.bits == number) return prefix + word.name;
  }
  return prefix + unknown(number);
}

std::string key(const Json& number) {
  const auto bits = static_cast<unsigned>(number.get<int>());
  return bits == abi::kIpcPrivate ? "IPC_PRIVATE" : hexadecimal(bits);
}

/// strace has keys without a sign, and -1 for the id that is none.
std::string member(const std::string& name, const Json& value) {
  if (name == "key") return std::to_string(static_cast<std::uint32_t>(value.get<std::int32_t>()));
  const bool is_id = name == "uid" || name == "gid" || name == "cuid" || name == "cgid";
  return is_id && value == UINT32_MAX ? "-1" : value.dump();
}

/// What a shmctl wrote to its buffer, or read there; the address where that is not known.
std::string contents_of(const Json& call) {
  const auto found = call.find("contents");
  if (found == call.end()) return pointer(call.at("buf"));
  const Json& contents = *found;
  const auto list = [&contents](std::initializer_list<const char*> names) {
    std::string text;
    for (const char* const name : names) {
      text += text.empty() ? "" : ", ";
      text += std::string(name) + "=" + member(name, contents.at(name));
    }
    return text;
  };
  if (contents.contains("shmmax")) {
    return "{" + list({"shmmax", "shmmin", "shmmni", "shmseg", "shmall"}) + "}";
  }
  if (contents.contains("used_ids")) {
    return "{" + list({"used_ids", "shm_tot", "shm_rss", "shm_swp"}) +
           ", swap_attempts=0, swap_successes=0}";
  }
  const std::string perm =
      list({"uid", "gid"}) + ", mode=" + octal(contents.at("mode").get<unsigned>());
  if (!contents.contains("shm_segsz")) return "{shm_perm={" + perm + "}}";
  return "{shm_perm={" + perm + ", " + list({"key", "cuid", "cgid"}) + "}, " +
         list({"shm_segsz", "shm_cpid", "shm_lpid", "shm_nattch", "shm_atime", "shm_dtime",
               "shm_ctime"}) +
         "}";
}

std::string arguments(const std::string& name, const Json& call) {
  if (name == "shmget") {
    return key(call.at("key")) + ", " + call.at("size").dump() + ", " +
           get_flags(static_cast<unsigned>(call.at("shmflg").get<int>()));
  }
  if (name == "shmat") {
    return call.at("id").dump() + ", " + pointer(call.at("shmaddr")) + ", " +
           attach_flags(static_cast<unsigned>(call.at("shmflg").get<int>()));
  }
  if (name == "shmdt") return pointer(call.at("shmaddr"));
  if (name == "shmctl") {
    return call.at("id").dump() + ", " + command(call.at("cmd").get<unsigned>()) + ", " +
           contents_of(call);
  }
  return "...";
}

/// The error's number by its name, to say it in words.
std::string words_of(const std::string& error_name) {
  constexpr int kMostErrors = 134;
  for (int number = 1; number < kMostErrors; ++number) {
    const char* const known = ::strerrorname_np(number);
    if (known != nullptr && error_name == known)
      return std::string(" (") + std::strerror(number) + ")";
  }
  return {};
}

std::string result(const std::string& name, const Json& call) {
  if (call.contains("errno")) {
    const auto error = printable(call.at("errno").get<std::string>());
    return "-1 " + error + words_of(error);
  }
  const Json& value = call.at("result");
  // strace's way to say that it does not know.
  if (value.is_null()) return "? <mapped by the caller>";
  if (name == "shmat") return hexadecimal(static_cast<std::uint64_t>(value.get<std::int64_t>()));
  return std::to_string(value.get<std::int64_t>());
}

std::string duration(const Json& nanoseconds) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "<%.6f>", nanoseconds.get<double>() / 1e9);
  return text.data();
}

std::string text_of(const Json& call, const char* name) {
  return printable(call.at(name).get<std::string>());
}

/// As strace has it between "<" and ">": print_quoted_string_ex() of its util.c.
std::string in_angles(const std::string& text) {
  std::string shown;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (letter == '<' || letter == '>') {
      // A digit behind it would be taken for one of its own.
      const bool is_before_digit =
          at + 1 < text.size() && text[at + 1] >= '0' && text[at + 1] <= '9';
      shown += is_before_digit ? "\\0" : "\\";
      shown += letter == '<' ? "74" : "76";
      continue;
    }
    if (letter == '"' || letter == '\\') shown += '\\';
    shown += letter;
  }
  return shown;
}

std::string word_of(const Json& call, const char* name) {
  return as_one_word(call.at(name).get<std::string>());
}

/// "2026-11-30T15:30:02.123456+0100".
std::string time_of(const Json& call) {
  const double time = call.at("time").get<double>();
  const auto seconds = static_cast<std::time_t>(time);
  std::tm local{};
  std::array<char, 40> text{};
  std::array<char, 16> zone{};
  std::array<char, 16> fraction{};
  if (::localtime_r(&seconds, &local) == nullptr) return call.at("time").dump();
  std::strftime(text.data(), text.size(), "%FT%T", &local);
  std::strftime(zone.data(), zone.size(), "%z", &local);
  std::snprintf(fraction.data(), fraction.size(), ".%06d",
                static_cast<int>((time - static_cast<double>(seconds)) * 1e6));
  return std::string(text.data()) + fraction.data() + zone.data();
}

}  // namespace

std::string as_strace(const Json& call) {
  const std::string name = text_of(call, "name");
  std::string line = "[pid " + call.at("pid").dump() + "<" + in_angles(text_of(call, "command")) +
                     ">] " + name + "(" + arguments(name, call) + ") = " + result(name, call) +
                     " " + duration(call.at("took_ns"));
  if (call.contains("because")) line += " [" + text_of(call, "because") + "]";
  return line;
}

std::string event_kind(const Json& call) {
  const auto name = call.at("name").get<std::string>();
  if (call.contains("errno")) return call.contains("denied_by") ? "refusal" : "";
  if (name == "shmget") return call.value("changed", false) ? "create" : "";
  if (name == "shmat") return "attach";
  if (name == "shmdt") return "detach";
  return name == "shmctl" && call.at("cmd").get<int>() == abi::kIpcRmid ? "remove" : "";
}

std::string as_event(const Json& call) {
  std::string line = time_of(call) + " " + event_kind(call);
  if (call.contains("shmid")) line += " shmid=" + call.at("shmid").dump();
  if (call.at("name").get<std::string>() == "shmget") {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%08x",
                  static_cast<unsigned>(call.at("key").get<int>()));
    line += std::string(" key=") + text.data() + " bytes=" + call.at("size").dump();
  }
  line += " pid=" + call.at("pid").dump() + " command=" + word_of(call, "command") +
          " uid=" + call.at("uid").dump() + " registry=" + word_of(call, "registry");
  if (!call.contains("errno")) return line;
  return line + " call=" + text_of(call, "name") + " errno=" + text_of(call, "errno") +
         " because=\"" + text_of(call, "because") + "\"";
}

std::string as_cleaned(const Json& cleaned) {
  return time_of(cleaned) + " cleanup shmid=" + cleaned.at("shmid").dump() +
         " key=" + word_of(cleaned, "key") + " bytes=" + cleaned.at("segsz").dump() +
         " uid=" + cleaned.at("uid").dump() + " cpid=" + cleaned.at("cpid").dump() +
         " registry=" + word_of(cleaned, "registry") + " by=" + word_of(cleaned, "by");
}

std::string as_act(const Json& act) {
  std::string line = time_of(act) + " act " + text_of(act, "act");
  for (const auto& [name, value] : act.items()) {
    if (name == "time" || name == "act") continue;
    line += " " + printable(name) + "=";
    line += value.is_string() ? as_one_word(value.get<std::string>()) : printable(value.dump());
  }
  return line;
}

}  // namespace shmvisor::client
