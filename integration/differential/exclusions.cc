#include "integration/differential/exclusions.h"

#include <linux/shm.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

namespace shmvisor {
namespace {

/// A mapping as TranscriptWriter::mapping() shows it, the name in the kernel's own form.
struct ShownMapping {
  std::string window;  ///< "w2+", or nothing
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::string rights;
  std::uint64_t offset = 0;
  std::string rest;

  friend bool operator==(const ShownMapping&, const ShownMapping&) = default;
};

std::uint64_t number_in(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

std::string_view next_part(std::string_view& text) {
  const std::size_t end = std::min(text.find(','), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

constexpr std::string_view kMemfd = "/memfd:SYSV";

std::string kernel_name(std::string_view text) {
  std::string name(text);
  const std::size_t at = name.find(kMemfd);
  if (at != std::string::npos) name.replace(at, kMemfd.size(), "/SYSV");
  return name;
}

ShownMapping parse_mapping(std::string_view field, std::string_view value) {
  ShownMapping mapping;
  field.remove_prefix(field.find(':') + 1);
  const std::size_t plus = field.find('+');
  if (plus != std::string_view::npos) {
    mapping.window = field.substr(0, plus + 1);
    field.remove_prefix(plus + 1);
  }
  mapping.start = number_in(field);
  mapping.length = number_in(next_part(value));
  mapping.rights = next_part(value);
  mapping.offset = number_in(next_part(value));
  mapping.rest = kernel_name(value);
  return mapping;
}

constexpr std::string_view kNow = "at:";
constexpr std::string_view kBefore = "was:";

/// All mappings a step shows of one moment.
std::vector<ShownMapping> shown_mappings(const Step& step, std::string_view moment) {
  std::vector<ShownMapping> mappings;
  for (const auto& [field, value] : step.fields()) {
    if (field.starts_with(moment)) mappings.push_back(parse_mapping(field, value));
  }
  return mappings;
}

/// The same, those put together that could be one.
std::vector<ShownMapping> merged_mappings(const Step& step, std::string_view moment) {
  std::vector<ShownMapping> merged;
  for (const ShownMapping& mapping : shown_mappings(step, moment)) {
    ShownMapping* const last = merged.empty() ? nullptr : &merged.back();
    if (last != nullptr && last->window == mapping.window && last->rights == mapping.rights &&
        last->rest == mapping.rest && last->start + last->length == mapping.start &&
        last->offset + last->length == mapping.offset) {
      last->length += mapping.length;
    } else {
      merged.push_back(mapping);
    }
  }
  return merged;
}

bool alike_merged(const DifferenceContext& context, std::string_view moment) {
  return merged_mappings(context.native, moment) == merged_mappings(context.supervised, moment);
}

bool is_mapping(const Difference& difference) {
  return difference.field.starts_with(kNow) || difference.field.starts_with(kBefore);
}

/// A column of a segment, as shmctl or a row of /proc/sysvipc/shm shows it.
struct Column {
  std::string_view name;
  std::string prefix;   ///< of the fields that belong to the segment
  std::string segment;  ///< see Interpreter::segment_name()
};

Column column_of(const Difference& difference, const DifferenceContext& context) {
  constexpr std::string_view kRow = "row";
  const std::size_t dot = difference.field.find('.');
  if (context.operation.kind != Kind::kProcTable || !difference.field.starts_with(kRow) ||
      dot == std::string_view::npos) {
    return {difference.field, "", std::string(context.native.value("segment"))};
  }
  return {difference.field.substr(dot + 1), std::string(difference.field.substr(0, dot + 1)),
          std::string(context.native.value("namespace")) + "." +
              std::string(difference.field.substr(kRow.size(), dot - kRow.size()))};
}

bool merged_apart(const Difference& difference, const DifferenceContext& context) {
  if (const Column column = column_of(difference, context); column.name == "nattch") {
    const auto beside = [&](const Step& step, const char* name) {
      return step.value(column.prefix + name);
    };
    if (context.native.has(column.prefix + "one-of-several")) {
      // Some of what was counted may belong to another namespace's segment.
      return number_in(beside(context.native, "mappings")) >= number_in(difference.native) &&
             number_in(difference.native) > number_in(difference.supervised) &&
             difference.supervised == beside(context.supervised, "mappings");
    }
    return difference.native == beside(context.native, "mappings") &&
           difference.supervised == beside(context.supervised, "mappings") &&
           beside(context.native, "merged") == beside(context.supervised, "merged");
  }
  const bool shows_all =
      context.operation.kind == Kind::kMaps || context.operation.kind == Kind::kShmdt;
  return is_mapping(difference) && shows_all &&
         alike_merged(context, difference.field.starts_with(kNow) ? kNow : kBefore);
}

bool before_alike(const DifferenceContext& context) {
  return shown_mappings(context.native, kBefore) == shown_mappings(context.supervised, kBefore);
}

/// shmdt(2) that found other pieces than the kernel's did, for having been put together.
bool detached_merged(const Difference& difference, const DifferenceContext& context) {
  return context.operation.kind == Kind::kShmdt && difference.field.starts_with(kNow) &&
         !before_alike(context) && alike_merged(context, kBefore);
}

/// ksys_shmdt() takes pieces of one struct file only; what the kernel leaves of the segment in a
/// place that belongs to the attach is of another one.
bool detached_another(const Difference& difference, const DifferenceContext& context) {
  if (context.operation.kind != Kind::kShmdt || !difference.field.starts_with(kNow) ||
      difference.supervised != "absent" || !before_alike(context)) {
    return false;
  }
  const ShownMapping left = parse_mapping(difference.field, difference.native);
  const ShownMapping attach =
      parse_mapping("at:" + std::string(context.native.value("address")), "");
  return left.window == attach.window && left.start - attach.start == left.offset;
}

bool memfd_name(const Difference& difference, const DifferenceContext& /*context*/) {
  return is_mapping(difference) && difference.native != "absent" &&
         difference.supervised.find(kMemfd) != std::string_view::npos &&
         kernel_name(difference.supervised) == difference.native;
}

bool silent_stamp(const Difference& difference, const DifferenceContext& context) {
  if (context.operation.kind != Kind::kShmctl && context.operation.kind != Kind::kProcTable) {
    return false;
  }
  const Column column = column_of(difference, context);
  if (column.name == "atime") return context.history.opened_silently(column.segment);
  if (column.name == "dtime") return context.history.closed_silently(column.segment);
  return column.name == "lpid" && context.history.lpid_renewed_silently(column.segment);
}

/// Linux 6.17: mremap(2) moves several mappings at once, but none with a get_unmapped_area of its
/// own except shmem's.
bool moved_together(const Difference& difference, const DifferenceContext& context) {
  const auto& operands = context.operation.operands;
  return context.operation.kind == Kind::kMremap && difference.field == "result" &&
         operands[1].offset >= operands[2].offset && difference.native == "EFAULT" &&
         (difference.supervised.starts_with("w") || difference.supervised.starts_with("0x"));
}

/// What is one mapping can grow; natively there are two, side by side.
bool merged_grown(const Difference& difference, const DifferenceContext& context) {
  const auto& operands = context.operation.operands;
  return context.operation.kind == Kind::kMremap && difference.field == "result" &&
         operands[1].offset < operands[2].offset && difference.native == "EFAULT" &&
         (difference.supervised.starts_with("w") || difference.supervised.starts_with("0x"));
}

/// remap_file_pages(2) takes the old mapping away before it makes the new one.
bool remapped_last_mapping(const Difference& difference, const DifferenceContext& context) {
  return context.operation.kind == Kind::kRemapFilePages && difference.field == "result" &&
         difference.native == "EINVAL" && difference.supervised == "0" &&
         context.history.doomed_segment_about(context.operation.worker);
}

/// Only what shows that a segment is there.
bool executed_thread(const Difference& difference, const DifferenceContext& context) {
  if (!context.creators.lost()) return false;
  switch (context.operation.kind) {
    case Kind::kShmget:
    case Kind::kShmat:
    case Kind::kShmctl:
    case Kind::kChurn:
      return context.native.value("result") != context.supervised.value("result") ||
             difference.field == "used_ids" || difference.field == "shm_tot" ||
             difference.field == "shm_rss" || difference.field == "shm_swp";
    case Kind::kProcTable:
      return difference.native == "absent" || difference.supervised == "absent";
    default:
      return false;
  }
}

/// shm_rss in pages, the table's rss in bytes. A huge page of 2 MiB is 512 pages, counted 512
/// times.
bool huge_rss(const Difference& difference, const DifferenceContext& context) {
  constexpr std::uint64_t kPagesTooMany = 511 * 512;
  const auto number = [](std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const bool is_in_pages = context.operation.kind == Kind::kShmctl && difference.field == "shm_rss";
  const bool is_in_bytes = context.operation.kind == Kind::kProcTable && difference.field == "rss";
  const std::uint64_t native = number(difference.native);
  const std::uint64_t supervised = number(difference.supervised);
  return (is_in_pages || is_in_bytes) && native > supervised &&
         (native - supervised) % (is_in_bytes ? 4096 * kPagesTooMany : kPagesTooMany) == 0;
}

/// In kB. The second page may be refused.
bool a_few_pages_more(const Difference& difference, const DifferenceContext& context) {
  const auto kilobytes = [](std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const bool counts_pages = difference.field == "VmSize" || difference.field == "VmLck";
  const auto more = kilobytes(difference.supervised) - kilobytes(difference.native);
  constexpr std::uint64_t kPageKilobytes = 4;
  return context.operation.kind == Kind::kStatus && counts_pages && more != 0 &&
         more % kPageKilobytes == 0 && more <= 3 * kPageKilobytes;
}

constexpr auto kExclusions = std::to_array<Exclusion>({
    {"silent-stamps",
     "shm_atime, shm_dtime and shm_lpid change with every mapping that fork, exit, exec, munmap, "
     "mprotect or mremap makes or ends; shmvisor is not told of those calls, only of the four",
     silent_stamp},
    {"merged-mappings",
     "pieces of an attach that are alike again become one mapping, since a memfd's mappings have "
     "no close operation; those of the kernel's shm have one and stay apart",
     merged_apart},
    {"call-page",
     "who attaches again and again gets a page of code mapped, which makes several calls in one "
     "go, one to keep registers in, and one of jumps near its own code",
     a_few_pages_more},
    {"memfd-name", "the name of a memfd in /proc/PID/maps begins with /memfd:", memfd_name},
    {"moved-together",
     "since Linux 6.17 one mremap moves several mappings, those of a memfd too, but never those of "
     "the kernel's shm, which it answers with EFAULT; shmvisor does not see mremap",
     moved_together, true, 6017},
    {"merged-grown",
     "mremap grows pieces of an attach that are alike again and so are one mapping; those of the "
     "kernel's shm stay apart, which it answers with EFAULT",
     merged_grown, true},
    {"detached-merged",
     "shmdt takes away the pieces that end within the segment's size; pieces of a grown attach "
     "that "
     "became one mapping again go or stay together",
     detached_merged, true},
    {"detached-another",
     "shmdt leaves pieces of another attach of the same segment, moved to where they would belong "
     "to this one; nothing shows of a mapping which open description it is of",
     detached_another, true},
    {"remapped-last-mapping",
     "remap_file_pages of the last mapping of a removed segment destroys it in its midst and "
     "fails; "
     "a memfd outlives that moment, and shmvisor does not see the call",
     remapped_last_mapping, true},
    {"executed-thread",
     "with kernel.shm_rmid_forced a segment goes with the thread that created it; a thread that "
     "execs takes over the first one's id in all that shmvisor can see, but not its segments",
     executed_thread, true},
    {"huge-rss",
     "since Linux 6.7 the pages of a segment of huge pages that are in memory are counted in small "
     "pages already, and multiplied once more by how many of these one has; no case shows it, "
     "since "
     "that takes a pool of huge pages",
     huge_rss, false, 6007},
});

}  // namespace

std::span<const Exclusion> exclusions() { return kExclusions; }

}  // namespace shmvisor
