#define FUSE_USE_VERSION 314  // before the first header of libfuse

#include "supervisor/procfiles/proc_file_system.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <new>
#include <string>

#include "emulation/abi/abi.h"
#include "supervisor/credentials/accountable_user.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// A name always leads to the same file; what stat(2) shows depends on the process that asks.
constexpr double kEntrySeconds = 1e6;
constexpr double kAttributeSeconds = 0;
constexpr fuse_ino_t kFirstFile = FUSE_ROOT_ID + 1;
/// The user charged for requests of threads outside of our pid namespace, and of threads that are
/// gone.
constexpr uid_t kNobodyInSight = static_cast<uid_t>(-1);
constexpr blksize_t kProcBlockBytes = 1024;
/// Longer ones come in pieces.
constexpr unsigned kMostWriteBytes = 16 * 1024;
/// Sizes that the kernel is told of stay below 2 GiB, above which 32-bit programs cannot open:
/// those of announce_contents() in the lower half, those of outdate_size() in the upper.
constexpr off_t kMostAnnouncedBytes = off_t{1} << 30;

/// Null for the root and for what does not exist.
const ProcFileInfo* file_of(fuse_ino_t inode) {
  const std::size_t place = inode - kFirstFile;
  return inode >= kFirstFile && place < kProcFiles.size() ? &kProcFiles[place] : nullptr;
}

bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

/// FUSE_BUFVEC_INIT(), which is an expression of C alone.
fuse_bufvec memory_buffer(std::size_t size_bytes) {
  fuse_bufvec buffer{};
  buffer.count = 1;
  buffer.buf[0].size = size_bytes;
  buffer.buf[0].fd = -1;
  return buffer;
}

[[gnu::format(printf, 2, 0)]] void log_line(fuse_log_level /*level*/, const char* format,
                                            va_list arguments) {
  std::array<char, 256> line{};
  // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is libfuse's
  std::vsnprintf(line.data(), line.size(), format, arguments);
  spdlog::debug("libfuse: {}", line.data());
}

/// One of our callbacks as libfuse may call it: it answers a request as its last step, and what it
/// throws before becomes the answer.
template <auto kCallback>
struct Guarded;
template <typename... Arguments, void (*kCallback)(fuse_req_t, Arguments...)>
struct Guarded<kCallback> {
  static void call(fuse_req_t request, Arguments... arguments) noexcept {
    int error = 0;
    try {
      kCallback(request, arguments...);
      return;
    } catch (const std::bad_alloc&) {
      error = ENOMEM;
    } catch (const std::exception&) {
      error = EIO;
    }
    fuse_reply_err(request, error);
  }
};

}  // namespace

struct ProcFileSystem::Operations {
  static ProcFileSystem& self(fuse_req_t request) {
    return *static_cast<ProcFileSystem*>(fuse_req_userdata(request));
  }
  static pid_t tid(fuse_req_t request) { return fuse_req_ctx(request)->pid; }

  static void init(void* /*self*/, fuse_conn_info* connection) {
    // O_TRUNC comes with the open, instead of as a request of its own.
    connection->want |= connection->capable & FUSE_CAP_ATOMIC_O_TRUNC;
    // With FUSE_CAP_ASYNC_DIO a thread could hand in a write, end, and leave us with a tid that has
    // come to mean another: io_submit(2) of fs/aio.c, fuse_direct_IO() of fs/fuse/file.c.
    connection->want &= ~unsigned{FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ASYNC_DIO};
    // Requests wait in memory of ours (RequestQueue), one for each thread of whoever writes. Of a
    // sysctl's only the first page counts.
    connection->max_write = kMostWriteBytes;
  }

  static void lookup(fuse_req_t request, fuse_ino_t /*parent*/, const char* name) {
    for (fuse_ino_t inode = kFirstFile; const ProcFileInfo* file = file_of(inode); ++inode) {
      if (std::string_view(name) != file->name) continue;
      self(request).forget_contents(inode);
      Reader reader = self(request).reader(tid(request));
      const fuse_entry_param entry = self(request).entry(inode, reader);
      fuse_reply_entry(request, &entry);
      return;
    }
    fuse_reply_err(request, ENOENT);
  }

  /// Gives all files at once to ProcMounts::attach(), which would look them up one after another.
  static void readdirplus(fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t offset,
                          fuse_file_info* /*info*/) {
    Reader reader = self(request).reader(tid(request));
    std::string bytes(size, '\0');
    std::size_t used = 0;
    fuse_ino_t inode = kFirstFile + static_cast<fuse_ino_t>(offset);
    for (; const ProcFileInfo* file = file_of(inode); ++inode) {
      self(request).forget_contents(inode);
      const fuse_entry_param entry = self(request).entry(inode, reader);
      const std::size_t needed =
          fuse_add_direntry_plus(request, bytes.data() + used, size - used, file->name, &entry,
                                 static_cast<off_t>(inode - kFirstFile) + 1);
      if (needed > size - used) break;
      used += needed;
    }
    fuse_reply_buf(request, bytes.data(), used);
  }

  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
    Reader reader = self(request).reader(tid(request));
    const struct stat status = self(request).attributes(inode, reader);
    if (file_of(inode) != nullptr) {
      // With an open file it is lseek(2), whose SEEK_END shall find the size of 0.
      if (info != nullptr) {
        self(request).forget_contents(inode);
      } else {
        self(request).outdate_size(inode);
      }
    }
    fuse_reply_attr(request, &status, kAttributeSeconds);
  }

  /// proc_sys_setattr(): mode and owner stay; a size or times may be set, and are not kept.
  static void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* /*wanted*/, int to_set,
                      fuse_file_info* info) {
    const ProcFileInfo* const file = file_of(inode);
    Reader reader = self(request).reader(tid(request));
    const SysctlOwner owner = reader.sysctl_owner();
    const bool truncates = (to_set & FUSE_SET_ATTR_SIZE) != 0;
    // utimes(2) with no times: who may write may do that.
    const bool touches =
        (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 && (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
    if (file == nullptr ||
        (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0 ||
        (!truncates && !touches && !reader.owns(owner))) {
      fuse_reply_err(request, EPERM);
    } else if (((truncates && info == nullptr) || (touches && !reader.owns(owner))) &&
               !reader.may_write(file->file, owner)) {
      fuse_reply_err(request, EACCES);
    } else {
      if (truncates) self(request).forget_contents(inode);
      const struct stat status = self(request).attributes(inode, reader);
      fuse_reply_attr(request, &status, kAttributeSeconds);
    }
  }

  /// access(2) with R_OK or W_OK; the kernel settles X_OK by the mode.
  static void access(fuse_req_t request, fuse_ino_t inode, int mask) {
    const ProcFileInfo* const file = file_of(inode);
    Reader reader = self(request).reader(tid(request));
    const bool denied = file != nullptr && (mask & W_OK) != 0 &&
                        !reader.may_write_by_real_uid(file->file, reader.sysctl_owner());
    fuse_reply_err(request, denied ? EACCES : 0);
  }

  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
    const ProcFileInfo* const file = file_of(inode);
    if (file == nullptr) {
      fuse_reply_err(request, EISDIR);
      return;
    }
    const auto handle = self(request).open(*file, info->flags, tid(request));
    if (!handle) {
      fuse_reply_err(request, handle.error().value());
      return;
    }
    self(request).announce_contents(inode);
    if ((info->flags & O_TRUNC) != 0) self(request).forget_contents(inode);
    info->fh = *handle;
    info->direct_io = 1;  // every read and write comes to us as it was asked for
    // ENOENT: the open was given up, and there will be no release.
    ProcFileSystem& files = self(request);
    if (fuse_reply_open(request, info) == -ENOENT) files.open_files_.remove(*handle);
  }

  static void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                   fuse_file_info* info) {
    // A read for the page cache, which has no lock owner, is a fault on a private mapping, and the
    // kernel's files cannot be mapped; or sendfile(2) or splice(2). See the head of our header.
    if (info->lock_owner == 0) {
      fuse_reply_err(request, EINVAL);
      return;
    }
    self(request).revive(info->fh, file_of(inode), info->flags, tid(request));
    const auto bytes = self(request).open_files_.with(info->fh, [&](OpenFile& file) {
      return file.read(static_cast<std::uint64_t>(offset), size);
    });
    if (bytes) {
      fuse_reply_buf(request, bytes->data(), bytes->size());
    } else {
      fuse_reply_err(request, bytes.error().value());
    }
  }

  static void write(fuse_req_t request, fuse_ino_t inode, const char* bytes, size_t size,
                    off_t offset, fuse_file_info* info) {
    Reader writer = self(request).reader(tid(request));
    self(request).revive(info->fh, file_of(inode), info->flags, tid(request));
    const auto taken = self(request).open_files_.with(info->fh, [&](OpenFile& file) {
      return file.write(std::string_view(bytes, size), static_cast<std::uint64_t>(offset), writer);
    });
    if (taken) {
      self(request).note_write(inode, offset + static_cast<off_t>(size));
      fuse_reply_write(request, *taken);
    } else {
      fuse_reply_err(request, taken.error().value());
    }
  }

  static void release(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* info) {
    self(request).open_files_.remove(info->fh);
    fuse_reply_err(request, 0);
  }

  /// The kernel's files have no fsync.
  static void fsync(fuse_req_t request, fuse_ino_t /*inode*/, int /*data*/,
                    fuse_file_info* /*info*/) {
    fuse_reply_err(request, EINVAL);
  }

  static fuse_lowlevel_ops all() {
    fuse_lowlevel_ops operations{};
    operations.init = init;
    operations.lookup = Guarded<lookup>::call;
    operations.readdirplus = Guarded<readdirplus>::call;
    operations.getattr = Guarded<getattr>::call;
    operations.setattr = Guarded<setattr>::call;
    operations.access = Guarded<access>::call;
    operations.open = Guarded<open>::call;
    operations.read = Guarded<read>::call;
    operations.write = Guarded<write>::call;
    operations.release = Guarded<release>::call;
    operations.fsync = Guarded<fsync>::call;
    return operations;
  }
};

ProcFileSystem::ProcFileSystem(IpcNamespaces& namespaces, std::shared_ptr<OpenFileShares> shares,
                               std::shared_ptr<IpcHome> home)
    : namespaces_(namespaces),
      home_(std::move(home)),
      started_seconds_(std::time(nullptr)),
      open_files_(std::move(shares)) {}

uid_t ProcFileSystem::payer(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  if (!status) return kNobodyInSight;
  ThreadIdentity thread(tid, UniqueFd(), 0);
  return accountable_user(thread, status->uid);
}

ProcFileSystem::~ProcFileSystem() {
  if (session_ != nullptr) fuse_session_destroy(session_);
}

Result<void> ProcFileSystem::start(UniqueFd connection, FuseBeginning* beginning) {
  const auto ends = [beginning](Errno error) {  // before the connection is closed
    if (beginning != nullptr) beginning->is_over.store(true);
    return error;
  };
  fuse_set_log_func(log_line);
  std::array<char, 9> name{"shmvisor"};
  std::array<char*, 2> words{name.data(), nullptr};
  fuse_args arguments{1, words.data(), 0};
  const fuse_lowlevel_ops operations = Operations::all();
  session_ = fuse_session_new(&arguments, &operations, sizeof(operations), this);
  fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return ends(Errno(ENOMEM));
  // How libfuse is told of a connection that is mounted: fuse_session_mount() in fuse_lowlevel.h.
  const std::string place = "/dev/fd/" + std::to_string(connection.get());
  if (fuse_session_mount(session_, place.c_str()) != 0) return ends(Errno(EINVAL));
  const int fd = connection.release();  // the session's from now on
  if (beginning != nullptr) open_files_.number_by(beginning->last_open_file);
  if (beginning != nullptr) take_over(*beginning, fd);

  if (auto started = threads_.start(session_, payer, beginning); !started) {
    const Errno error = ends(started.error());
    fuse_session_destroy(std::exchange(session_, nullptr));  // closes the connection
    return error;
  }
  return {};
}

fuse_entry_param ProcFileSystem::entry(std::uint64_t inode, Reader& reader) const {
  fuse_entry_param entry{};
  entry.ino = inode;
  entry.attr = attributes(inode, reader);
  entry.attr_timeout = kAttributeSeconds;
  entry.entry_timeout = kEntrySeconds;
  return entry;
}

struct stat ProcFileSystem::attributes(std::uint64_t inode, Reader& reader) const {
  struct stat status {};
  status.st_ino = inode;
  status.st_nlink = 1;
  status.st_mode = S_IFDIR | 0555;
  status.st_blksize = kProcBlockBytes;
  status.st_atim.tv_sec = status.st_mtim.tv_sec = status.st_ctim.tv_sec = started_seconds_;
  if (const ProcFileInfo* file = file_of(inode)) {
    status.st_mode = S_IFREG | file->permissions;
    if (file->file != ProcFile::kTable) {
      const SysctlOwner owner = reader.sysctl_owner();
      status.st_uid = owner.uid.value_or(kOverflowId);
      status.st_gid = owner.gid.value_or(kOverflowId);
    }
  }
  return status;
}

Result<std::uint64_t> ProcFileSystem::open(const ProcFileInfo& file, int flags, pid_t tid) {
  if (tid == 0) return Errno(EACCES);  // of no process that we can see
  Reader opener = reader(tid);
  const SysctlOwner owner = opener.sysctl_owner();
  if (writes(flags) && !opener.may_write(file.file, owner)) return Errno(EACCES);
  if ((flags & O_DIRECT) != 0) return Errno(EINVAL);
  auto found = opener.registry();
  if (!found) return found.error();
  const std::shared_ptr<Registry> registry = std::move(found->registry);
  return open_files_.add(payer(tid), OpenFile::make(file, registry, opener, owner, flags),
                         OpenFiles::mark_for(found->ipc_namespace));
}

ProcFileSystem::KernelSize& ProcFileSystem::size_of(std::uint64_t inode) {
  return kernel_sizes_[inode - kFirstFile];
}

void ProcFileSystem::forget_contents(std::uint64_t inode) {
  const MutexLock lock(sizes_mutex_);
  size_of(inode).announced = false;
}

void ProcFileSystem::note_write(std::uint64_t inode, off_t end) {
  const MutexLock lock(sizes_mutex_);
  off_t& highest = size_of(inode).highest_bytes;
  // Beyond the bound nothing is announced. An end may be INT64_MAX.
  highest = std::max(highest, std::min(end, kMostAnnouncedBytes));
}

void ProcFileSystem::announce_contents(std::uint64_t inode) {
  const MutexLock lock(sizes_mutex_);
  KernelSize& size = size_of(inode);
  // Into a page behind any that the file has had: one that somebody reads stays locked until we
  // answer that. And not at its beginning, or the page could be taken for a whole one, and read.
  const auto page = static_cast<off_t>(kPageBytes);
  const off_t place = (size.highest_bytes / page + 1) * page + 1;
  if (size.announced || place >= kMostAnnouncedBytes) return;
  std::array<char, 1> byte{};
  fuse_bufvec buffer = memory_buffer(byte.size());
  buffer.buf[0].mem = byte.data();
  // The open that is being answered drops the page again.
  size.announced =
      fuse_lowlevel_notify_store(session_, inode, place, &buffer, FUSE_BUF_NO_SPLICE) == 0;
  size.highest_bytes = place + 1;
}

void ProcFileSystem::outdate_size(std::uint64_t inode) {
  std::array<char, 1> nothing{};
  fuse_bufvec buffer = memory_buffer(0);
  buffer.buf[0].mem = nothing.data();
  const MutexLock lock(sizes_mutex_);
  // Kernels before 5.16 make it the new size, and act only on one that is larger than the last.
  sizes_outdated_ = (sizes_outdated_ + 1) % kMostAnnouncedBytes;
  fuse_lowlevel_notify_store(session_, inode, kMostAnnouncedBytes + sizes_outdated_, &buffer,
                             FUSE_BUF_NO_SPLICE);
}

}  // namespace shmvisor
