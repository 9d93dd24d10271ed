#include "supervisor/procfiles/open_file.h"

#include <climits>
#include <mutex>
#include <shared_mutex>

#include "emulation/abi/proc_format.h"

namespace shmvisor {

TableFile::TableFile(std::shared_ptr<Registry> registry, const Reader& opener)
    : registry_(std::move(registry)),
      viewpoint_(opener.thread()),
      lines_([this](std::size_t position) { return show(position); }) {
  // What it needs of the opener is read now, who may be gone when somebody reads.
  (void)viewpoint_.show_uid(0);
  (void)viewpoint_.show_gid(0);
  (void)viewpoint_.show_pid({});
}

std::string TableFile::read(std::uint64_t offset, std::size_t size) {
  return lines_.read(offset, size);
}

Result<std::size_t> TableFile::write(std::string_view /*bytes*/, std::uint64_t /*offset*/,
                                     Reader& /*writer*/) {
  return Errno(EIO);
}

std::optional<std::string> TableFile::show(std::size_t position) {
  if (position == 0) {
    rows_.reset();
    return std::string(shm_table_heading());
  }
  if (!rows_) {
    registry_->settle();
    rows_ = registry_->rows(viewpoint_);
  }
  if (position > rows_->size()) return std::nullopt;
  const ShmTableRow& row = (*rows_)[position - 1];
  return shm_table_line(row.id, row.ds, row.usage.resident * abi::kPageSize,
                        row.usage.swapped * abi::kPageSize);
}

SysctlFile::SysctlFile(ProcFile file, std::shared_ptr<Registry> registry, const SysctlOwner& owner,
                       bool append)
    : file_(file), registry_(std::move(registry)), owner_(owner), append_(append) {}

std::string SysctlFile::read(std::uint64_t offset, std::size_t size) {
  switch (file_) {
    case ProcFile::kShmmax:
      return read_sysctl(registry_->limits().shmmax, offset, size);
    case ProcFile::kShmall:
      return read_sysctl(registry_->limits().shmall, offset, size);
    case ProcFile::kShmmni:
      return read_sysctl(static_cast<int>(registry_->limits().shmmni), offset, size);
    case ProcFile::kShmRmidForced:
      // proc_ipc_dointvec_minmax_orphans() looks for orphans on every access while it is set.
      if (offset == 0) registry_->settle();
      return read_sysctl(registry_->rmid_forced() ? 1 : 0, offset, size);
    case ProcFile::kShmNextId: {
      // A segment takes the hint with it when its maker already goes on, under the lock.
      const std::shared_lock look(registry_->mutex());
      return read_sysctl(registry_->next_id_hint(), offset, size);
    }
    case ProcFile::kTable:
      break;
  }
  return {};
}

Result<std::size_t> SysctlFile::set_limit(std::uint64_t Limits::*limit, std::string_view bytes,
                                          std::uint64_t offset) {
  const auto write = write_ulong_sysctl(bytes, offset);
  if (!write) return write.error();
  if (!write->ignored) {
    Limits limits = registry_->limits();
    limits.*limit = write->value;
    registry_->set_limits(limits);
  }
  return write->taken_bytes;
}

template <typename Set>
Result<std::size_t> SysctlFile::set_int(std::string_view bytes, std::uint64_t offset, int maximum,
                                        Set set) {
  const auto write = write_int_sysctl(bytes, offset, 0, maximum);
  if (!write) return write.error();
  if (!write->ignored) set(write->value);
  return write->taken_bytes;
}

Result<std::size_t> SysctlFile::write(std::string_view bytes, std::uint64_t offset,
                                      Reader& writer) {
  if (!writer.may_write(file_, owner_)) return Errno(EPERM);
  // FUSE moves an appending write to a size that the file does not have.
  if (append_) offset = written_bytes_;
  const auto taken = [&]() -> Result<std::size_t> {
    switch (file_) {
      case ProcFile::kShmmax:
        return set_limit(&Limits::shmmax, bytes, offset);
      case ProcFile::kShmall:
        return set_limit(&Limits::shmall, bytes, offset);
      case ProcFile::kShmmni:
        return set_int(bytes, offset, Limits::ipcmni, [this](int value) {
          Limits limits = registry_->limits();
          limits.shmmni = static_cast<std::uint32_t>(value);
          registry_->set_limits(limits);
        });
      case ProcFile::kShmRmidForced:
        return set_int(bytes, offset, 1,
                       [this](int value) { registry_->set_rmid_forced(value != 0); });
      case ProcFile::kShmNextId:
        return set_int(bytes, offset, INT_MAX, [this](int value) {
          const std::unique_lock change(registry_->mutex());
          registry_->set_next_id_hint(value);
        });
      case ProcFile::kTable:
        break;
    }
    return Errno(EIO);
  }();
  if (taken) written_bytes_ += *taken;
  return taken;
}

}  // namespace shmvisor
