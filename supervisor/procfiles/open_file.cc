#include "supervisor/procfiles/open_file.h"

#include <fcntl.h>

#include <algorithm>
#include <climits>

#include "emulation/abi/abi.h"
#include "emulation/abi/proc_format.h"
#include "supervisor/audit/process_audit.h"

namespace shmvisor {

std::unique_ptr<OpenFile> OpenFile::make(const ProcFileInfo& file,
                                         std::shared_ptr<Registry> registry, const Reader& opener,
                                         const SysctlOwner& owner, int flags) {
  if (file.file == ProcFile::kTable) {
    return std::make_unique<TableFile>(std::move(registry), opener);
  }
  return std::make_unique<SysctlFile>(file.file, std::move(registry), owner,
                                      (flags & O_APPEND) != 0);
}

TableFile::TableFile(std::shared_ptr<Registry> registry, const Reader& opener)
    : registry_(std::move(registry)),
      viewpoint_(opener.thread()),
      lines_(
          [this](std::size_t position, SeqFile::Wanted wanted) { return show(position, wanted); }) {
  // The opener's id maps and namespaces are read now: it may be gone at the time of a read.
  (void)viewpoint_.show_uid(0);
  (void)viewpoint_.show_gid(0);
  (void)viewpoint_.show_pid({});
}

Result<std::string> TableFile::read(std::uint64_t offset, std::size_t size) {
  auto bytes = lines_.read(offset, size);
  taken_ = {};  // the next read shows what is true then
  return bytes;
}

Result<std::size_t> TableFile::write(std::string_view /*bytes*/, std::uint64_t /*offset*/,
                                     Reader& /*writer*/) {
  return Errno(EIO);
}

const ShmTableRow* TableFile::Taken::find(int index, bool shall_be_counted) const {
  if (index < first_index || index >= end_index || (shall_be_counted && !counted)) return nullptr;
  const auto row = std::ranges::find_if(
      rows, [index](const ShmTableRow& one) { return IdSpace::index_of(one.id) >= index; });
  return row == rows.end() ? nullptr : &*row;
}

Result<void> TableFile::take(int first_index, SeqFile::Wanted wanted) {
  ShmTableRange range{.first_index = first_index, .count_attaches = !wanted.skipped};
  range.most = wanted.bytes / shm_table_heading().size() + 1;
  auto rows = registry_->rows(viewpoint_, range);
  if (!rows) return rows.error();
  taken_ = {std::move(*rows), first_index, IdSpace::kMaxIds, range.count_attaches};
  if (taken_.rows.size() == range.most) {
    taken_.end_index = IdSpace::index_of(taken_.rows.back().id) + 1;
  }
  return {};
}

/// Position 0 is the heading, and n + 1 the segment of index n: sysvipc_find_ipc() of ipc/util.c.
Result<std::optional<SeqFile::Record>> TableFile::show(std::size_t position,
                                                       SeqFile::Wanted wanted) {
  using Shown = std::optional<SeqFile::Record>;
  if (position == 0) return Shown({std::string(shm_table_heading()), 1});
  if (position > IdSpace::kMaxIds) return Shown();
  const int index = static_cast<int>(position) - 1;
  const ShmTableRow* row = taken_.find(index, !wanted.skipped);
  if (row == nullptr) {
    if (position == 1) registry_->settle();
    if (const auto taken = take(index, wanted); !taken) return taken.error();
    row = taken_.find(index, !wanted.skipped);
  }
  if (row == nullptr) return Shown();
  return Shown({shm_table_line(row->id, row->ds, row->usage.resident * kPageBytes,
                               row->usage.swapped * kPageBytes),
                static_cast<std::size_t>(IdSpace::index_of(row->id)) + 2});
}

SysctlFile::SysctlFile(ProcFile file, std::shared_ptr<Registry> registry, const SysctlOwner& owner,
                       bool append)
    : file_(file), registry_(std::move(registry)), owner_(owner), append_(append) {}

Result<std::string> SysctlFile::read(std::uint64_t offset, std::size_t size) {
  switch (file_) {
    case ProcFile::kShmmax:
      return read_sysctl(registry_->read()->limits().shmmax, offset, size);
    case ProcFile::kShmall:
      return read_sysctl(registry_->read()->limits().shmall, offset, size);
    case ProcFile::kShmmni:
      return read_sysctl(static_cast<int>(registry_->read()->limits().shmmni), offset, size);
    case ProcFile::kShmRmidForced:
      // proc_ipc_dointvec_minmax_orphans() looks for orphans on every access while it is set.
      if (offset == 0) registry_->settle();
      return read_sysctl(registry_->rmid_forced() ? 1 : 0, offset, size);
    case ProcFile::kShmNextId:
      return read_sysctl(registry_->read()->next_id_hint(), offset, size);
    case ProcFile::kTable:
      break;
  }
  return std::string();
}

Result<SysctlFile::Written> SysctlFile::set_limit(SetLimit::Which limit, std::string_view bytes,
                                                  std::uint64_t offset) {
  const auto write = write_ulong_sysctl(bytes, offset);
  if (!write) return write.error();
  if (write->ignored) return Written{write->taken_bytes, std::nullopt};
  registry_->change(SetLimit{limit, write->value});
  return Written{write->taken_bytes, write->value};
}

template <typename Set>
Result<SysctlFile::Written> SysctlFile::set_int(std::string_view bytes, std::uint64_t offset,
                                                int maximum, Set set) {
  const auto write = write_int_sysctl(bytes, offset, 0, maximum);
  if (!write) return write.error();
  if (write->ignored) return Written{write->taken_bytes, std::nullopt};
  set(write->value);
  return Written{write->taken_bytes, static_cast<std::uint64_t>(write->value)};
}

Result<SysctlFile::Written> SysctlFile::set(std::string_view bytes, std::uint64_t offset) {
  switch (file_) {
    case ProcFile::kShmmax:
      return set_limit(SetLimit::Which::kShmmax, bytes, offset);
    case ProcFile::kShmall:
      return set_limit(SetLimit::Which::kShmall, bytes, offset);
    case ProcFile::kShmmni:
      return set_int(bytes, offset, Limits::ipcmni, [this](int value) {
        registry_->change(SetLimit{SetLimit::Which::kShmmni, static_cast<std::uint64_t>(value)});
      });
    case ProcFile::kShmRmidForced:
      return set_int(bytes, offset, 1,
                     [this](int value) { registry_->set_rmid_forced(value != 0); });
    case ProcFile::kShmNextId:
      return set_int(bytes, offset, INT_MAX,
                     [this](int value) { registry_->change(SetNextId{value}); });
    case ProcFile::kTable:
      break;
  }
  return Errno(EIO);
}

Result<std::size_t> SysctlFile::write(std::string_view bytes, std::uint64_t offset,
                                      Reader& writer) {
  if (!writer.may_write(file_, owner_)) return Errno(EPERM);
  // FUSE moves an appending write to a size that the file does not have.
  if (append_) offset = written_bytes_;
  const auto written = set(bytes, offset);
  if (!written) return written.error();
  written_bytes_ += written->taken_bytes;
  // What changes nothing is nothing to account for, and anybody could write it for ever.
  if (written->value && process_audit() != nullptr) {
    const uid_t user = writer.user();
    audit(user, [&] {
      AuditRecord record("limit");
      const auto* const info = std::ranges::find(kProcFiles, file_, &ProcFileInfo::file);
      record.add("file", info->name).add("written", *written->value);
      record.add("ipc_namespace", writer.thread()->ipc_namespace());
      return std::move(record.add("tid", writer.thread()->tid()).add("uid", user));
    });
  }
  return written->taken_bytes;
}

}  // namespace shmvisor
