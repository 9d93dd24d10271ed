#include "integration/differential/operation.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "integration/differential/operation_names.h"

namespace shmvisor {
namespace {

// i386 keeps 16-bit ids under the plain names.
#ifdef SYS_setresuid32
constexpr long kSetresuidCall = SYS_setresuid32;
constexpr long kSetresgidCall = SYS_setresgid32;
constexpr long kSetfsgidCall = SYS_setfsgid32;
#else
constexpr long kSetresuidCall = SYS_setresuid;
constexpr long kSetresgidCall = SYS_setresgid;
constexpr long kSetfsgidCall = SYS_setfsgid;
#endif
#ifdef SYS_mmap2
constexpr long kMmapCall = SYS_mmap2;
#else
constexpr long kMmapCall = SYS_mmap;
#endif

using enum Argument;
constexpr Base kNothing = Base::kNumber;

constexpr auto kKinds = std::to_array<KindInfo>({
    {Kind::kShmget, "shmget", Base::kSegment, SYS_shmget, {kNumber, kNumber, kGetFlags}},
    {Kind::kShmat, "shmat", Base::kAttach, SYS_shmat, {kNumber, kNumber, kAtFlags}},
    {Kind::kShmdt, "shmdt", kNothing, SYS_shmdt, {kNumber}},
    // identifier, command, buffer; the user, group and mode that IPC_SET finds in it
    {Kind::kShmctl,
     "shmctl",
     kNothing,
     -1,
     {kNumber, kCommand, kNumber, kDecimal, kDecimal, kGetFlags}},
    // so many segments made and removed: identifiers' sequence numbers go on
    {Kind::kChurn, "churn", kNothing, -1, {kDecimal}},
    {Kind::kRead, "read", kNothing, -1, {kNumber}},
    {Kind::kWrite, "write", kNothing, -1, {kNumber, kNumber}},
    {Kind::kMaps, "maps", kNothing, -1, {}},
    {Kind::kStatus, "status", kNothing, -1, {}},
    {Kind::kProcTable, "proc_table", kNothing, -1, {}},
    {Kind::kMprotect, "mprotect", kNothing, SYS_mprotect, {kNumber, kNumber, kProtection}},
    {Kind::kMunmap, "munmap", kNothing, SYS_munmap, {kNumber, kNumber}},
    {Kind::kMremap,
     "mremap",
     Base::kAttach,
     SYS_mremap,
     {kNumber, kNumber, kNumber, kMremapFlags, kNumber}},
    {Kind::kMmap, "mmap", kNothing, kMmapCall, {kNumber, kNumber, kProtection, kMapFlags}},
    {Kind::kRemapFilePages,
     "remap_file_pages",
     kNothing,
     SYS_remap_file_pages,
     {kNumber, kNumber, kNumber, kNumber}},
    {Kind::kMlock, "mlock", kNothing, SYS_mlock, {kNumber, kNumber}},
    {Kind::kMunlock, "munlock", kNothing, SYS_munlock, {kNumber, kNumber}},
    {Kind::kMlockall, "mlockall", kNothing, SYS_mlockall, {kMlockallFlags}},
    {Kind::kMunlockall, "munlockall", kNothing, SYS_munlockall, {}},
    {Kind::kMadvise, "madvise", kNothing, SYS_madvise, {kNumber, kNumber, kAdvice}},
    {Kind::kFork, "fork", kNothing, -1, {kNumber}},
    {Kind::kVfork, "vfork", kNothing, -1, {kNumber}},
    {Kind::kCloneVm, "clone_vm", kNothing, -1, {kNumber}},
    {Kind::kThread, "thread", kNothing, -1, {kNumber}},
    {Kind::kExec, "exec", kNothing, -1, {}},
    {Kind::kExit, "exit", kNothing, -1, {}},
    {Kind::kExitThread, "exit_thread", kNothing, -1, {}},
    {Kind::kKill, "kill", kNothing, -1, {kNumber}},
    {Kind::kSetresuid, "setresuid", kNothing, kSetresuidCall, {kDecimal, kDecimal, kDecimal}},
    {Kind::kSetresgid, "setresgid", kNothing, kSetresgidCall, {kDecimal, kDecimal, kDecimal}},
    {Kind::kSetfsgid, "setfsgid", kNothing, kSetfsgidCall, {kDecimal}},
    // how many, which
    {Kind::kSetgroups, "setgroups", kNothing, -1, {kDecimal, kDecimal, kDecimal}},
    // what stays effective of what is permitted
    {Kind::kCapset, "capset", kNothing, -1, {kCapabilities}},
    {Kind::kSetrlimit, "setrlimit", kNothing, -1, {kResource, kNumber}},
    {Kind::kDumpable, "dumpable", kNothing, -1, {kDecimal}},
    {Kind::kChroot, "chroot", kNothing, -1, {}},
    {Kind::kUnshareIpc, "unshare_ipc", kNothing, -1, {}},
    {Kind::kSetnsIpc, "setns_ipc", kNothing, -1, {kNumber}},
    {Kind::kSysctl, "sysctl", kNothing, -1, {kSysctlName, kDecimal}},
    {Kind::kTick, "tick", kNothing, -1, {}},
});

static_assert(kKinds.size() == static_cast<std::size_t>(Kind::kTick) + 1);

constexpr std::array<char, 6> kBaseLetters = {0, 's', 'a', 'w', 'u', 'p'};

std::string hexadecimal(std::int64_t value) {
  std::array<char, 24> text{};
  const bool negative = value < 0 && value > -0x10000000;
  std::snprintf(text.data(), text.size(), "%s%#" PRIx64, negative ? "-" : "",
                static_cast<std::uint64_t>(negative ? -value : value));
  return text.data();
}

std::string octal(std::int64_t value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%#" PRIo64, static_cast<std::uint64_t>(value));
  return text.data();
}

std::string number_text(std::int64_t value, Argument argument) {
  if (argument == kDecimal) return std::to_string(value);
  const Naming naming = naming_of(argument);
  std::string text;
  if (naming != Naming::kPlain) {
    for (const NamedValue& named : named_values()) {
      if (named.argument != argument) continue;
      if (naming == Naming::kOneOf ? named.value == value
                                   : named.value != 0 && (value & named.value) == named.value) {
        text.append(text.empty() ? "" : "|").append(named.name);
        if (naming == Naming::kOneOf) return text;
        value &= ~named.value;
      }
    }
  }
  if (value != 0 || text.empty()) {
    text.append(text.empty() ? "" : "|");
    text.append(argument == kGetFlags ? octal(value) : hexadecimal(value));
  }
  return text;
}

std::string operand_text(const Operand& operand, Argument argument) {
  if (operand.base == Base::kNumber) return number_text(operand.offset, argument);
  if (operand.base == Base::kBuffer) return "buf";
  std::string text(1, kBaseLetters[static_cast<std::size_t>(operand.base)]);
  text += std::to_string(operand.index);
  if (operand.offset > 0) text += "+";
  if (operand.offset != 0) text += hexadecimal(operand.offset);
  return text;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  const std::string copy(text);
  if (copy.empty()) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const std::int64_t value = copy[0] == '-'
                                 ? std::strtoll(copy.c_str(), &end, 0)
                                 : static_cast<std::int64_t>(std::strtoull(copy.c_str(), &end, 0));
  if (errno != 0 || end != copy.c_str() + copy.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_named(std::string_view text, Argument argument) {
  std::int64_t value = 0;
  while (!text.empty()) {
    const std::size_t bar = std::min(text.find('|'), text.size());
    const std::string_view part = text.substr(0, bar);
    text.remove_prefix(std::min(bar + 1, text.size()));
    const auto names = named_values();
    const auto found = std::find_if(names.begin(), names.end(), [&](const NamedValue& named) {
      return named.argument == argument && named.name == part;
    });
    if (found != names.end()) {
      value |= found->value;
    } else if (const auto number = parse_integer(part)) {
      value |= *number;
    } else {
      return std::nullopt;
    }
  }
  return value;
}

std::optional<Operand> parse_operand(std::string_view text, Argument argument) {
  if (text == "buf") return Operand::buffer();
  const auto letter = std::find(kBaseLetters.begin() + 1, kBaseLetters.end(), text.front());
  const bool symbolic =
      letter != kBaseLetters.end() && text.size() > 1 && text[1] >= '0' && text[1] <= '9';
  if (!symbolic) {
    const auto value = parse_named(text, argument);
    if (!value) return std::nullopt;
    return Operand::number(*value);
  }
  Operand operand;
  operand.base = static_cast<Base>(letter - kBaseLetters.begin());
  operand.index = text[1] - '0';
  if (operand.index >= 8) return std::nullopt;
  text.remove_prefix(2);
  if (text.empty()) return operand;
  if (text.front() == '+') text.remove_prefix(1);
  const auto offset = parse_integer(text);
  if (!offset) return std::nullopt;
  operand.offset = *offset;
  return operand;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

}  // namespace

std::size_t KindInfo::argument_count() const {
  return static_cast<std::size_t>(std::find(arguments.begin(), arguments.end(), Argument::kNone) -
                                  arguments.begin());
}

const KindInfo& info_of(Kind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

int Operation::target() const { return operands[0].base == Base::kWorker ? operands[0].index : -1; }

std::string to_text(const Operation& operation) {
  const KindInfo& info = info_of(operation.kind);
  std::string text = "p" + std::to_string(operation.worker) + " ";
  text += info.name;
  for (std::size_t i = 0; i < info.argument_count(); ++i) {
    text += " " + operand_text(operation.operands[i], info.arguments[i]);
  }
  if (operation.store >= 0 && info.stores != kNothing) {
    text += " -> ";
    text += operand_text({info.stores, operation.store, 0}, kNumber);
  }
  return text;
}

std::string to_text(std::span<const Operation> sequence) {
  std::string text;
  for (const Operation& operation : sequence) text += to_text(operation) + "\n";
  return text;
}

std::optional<Operation> parse_operation(std::string_view line) {
  const auto words = words_of(line);
  if (words.size() < 2) return std::nullopt;
  const auto worker = parse_operand(words[0], kNumber);
  if (!worker || worker->base != Base::kWorker) return std::nullopt;
  const auto info = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const KindInfo& one) { return one.name == words[1]; });
  if (info == kKinds.end()) return std::nullopt;
  const std::size_t count = info->argument_count();
  if (words.size() < 2 + count) return std::nullopt;

  Operation operation;
  operation.kind = info->kind;
  operation.worker = worker->index;
  for (std::size_t i = 0; i < count; ++i) {
    const auto operand = parse_operand(words[2 + i], info->arguments[i]);
    if (!operand) return std::nullopt;
    operation.operands[i] = *operand;
  }
  if (words.size() == 2 + count) return operation;
  if (words.size() != 4 + count || words[2 + count] != "->") return std::nullopt;
  const auto store = parse_operand(words[3 + count], kNumber);
  if (!store || info->stores == kNothing || store->base != info->stores) return std::nullopt;
  operation.store = store->index;
  return operation;
}

std::optional<Sequence> parse_sequence(std::string_view text, std::string& bad_line) {
  Sequence sequence;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(' ') == std::string_view::npos || line.front() == '#') continue;
    const auto operation = parse_operation(line);
    if (!operation) {
      bad_line = line;
      return std::nullopt;
    }
    sequence.push_back(*operation);
  }
  return sequence;
}

}  // namespace shmvisor
