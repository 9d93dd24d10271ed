// OpenFile: one of our files in /proc as one open(2) sees it.
//
// The namespaces of the thread that opened the file count, whichever thread reads: the IPC
// namespace for what is shown, the user and pid namespace for its ids and pids. The right to write
// is checked for each writer (proc_sys_call_handler() of fs/proc/proc_sysctl.c).
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulation/abi/seq_file.h"
#include "emulation/shm/registry.h"
#include "policy/base/result.h"
#include "supervisor/credentials/thread_viewpoint.h"
#include "supervisor/procfiles/reader.h"

namespace shmvisor {

class OpenFile {
 public:
  OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  virtual ~OpenFile() = default;

  /// `flags`: of open(2); rights are not looked at. `owner`: of a sysctl.
  static std::unique_ptr<OpenFile> make(const ProcFileInfo& file,
                                        std::shared_ptr<Registry> registry, const Reader& opener,
                                        const SysctlOwner& owner, int flags);

  /// One page at most, also for a larger `size`; empty at the end of the file. ENOMEM: the attaches
  /// cannot be counted.
  virtual Result<std::string> read(std::uint64_t offset, std::size_t size) = 0;
  /// The bytes taken. EPERM: not this writer; EINVAL: not this text.
  virtual Result<std::size_t> write(std::string_view bytes, std::uint64_t offset,
                                    Reader& writer) = 0;
};

/// /proc/sysvipc/shm. Each read makes the lines that it needs, as in the kernel, and only the rest
/// of one page is kept between reads. So an open file costs little memory.
class TableFile : public OpenFile {
 public:
  TableFile(std::shared_ptr<Registry> registry, const Reader& opener);

  Result<std::string> read(std::uint64_t offset, std::size_t size) override;
  /// EIO: the file has no such operation.
  Result<std::size_t> write(std::string_view bytes, std::uint64_t offset, Reader& writer) override;

 private:
  /// Lines that one read has taken from the table at once, since each taking looks at all
  /// processes.
  struct Taken {
    std::vector<ShmTableRow> rows;
    int first_index = 0;
    int end_index = 0;  ///< none between is missing
    bool counted = false;

    [[nodiscard]] const ShmTableRow* find(int index, bool shall_be_counted) const;
  };

  Result<std::optional<SeqFile::Record>> show(std::size_t position, SeqFile::Wanted wanted);
  Result<void> take(int first_index, SeqFile::Wanted wanted);

  const std::shared_ptr<Registry> registry_;
  ThreadViewpoint viewpoint_;
  Taken taken_;
  SeqFile lines_;
};

/// /proc/sys/kernel/shm*.
class SysctlFile : public OpenFile {
 public:
  /// `append`: opened with O_APPEND, which means nothing to a sysctl.
  SysctlFile(ProcFile file, std::shared_ptr<Registry> registry, const SysctlOwner& owner,
             bool append);

  Result<std::string> read(std::uint64_t offset, std::size_t size) override;
  Result<std::size_t> write(std::string_view bytes, std::uint64_t offset, Reader& writer) override;

 private:
  struct Written {
    std::size_t taken_bytes = 0;
    std::optional<std::uint64_t> value;  ///< that was set; nothing where nothing changed
  };

  Result<Written> set(std::string_view bytes, std::uint64_t offset);
  Result<Written> set_limit(SetLimit::Which limit, std::string_view bytes, std::uint64_t offset);
  template <typename Set>
  Result<Written> set_int(std::string_view bytes, std::uint64_t offset, int maximum, Set set);

  const ProcFile file_;
  const std::shared_ptr<Registry> registry_;
  const SysctlOwner owner_;
  const bool append_;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace shmvisor
