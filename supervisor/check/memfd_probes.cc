#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"
#include "supervisor/inject/arch/page_code.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

constexpr std::size_t kSizeBytes = 4096;

Result<UniqueFd> make_memfd(unsigned flags) {
  UniqueFd file(::memfd_create("shmvisor-check", MFD_CLOEXEC | flags));
  if (!file.valid() || ::ftruncate(file.get(), kSizeBytes) != 0) return Errno::current();
  return file;
}

/// An open file description of its own for the same file.
Result<UniqueFd> reopen(const UniqueFd& file, int access) {
  UniqueFd other(::open(descriptor_path(file).c_str(), access | O_CLOEXEC));
  if (!other.valid()) return Errno::current();
  return other;
}

Finding probe_sealing() {
  const auto file = make_memfd(MFD_ALLOW_SEALING);
  if (!file) return Finding::no("memfd_create", file.error());
  if (::fcntl(file->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Finding::no("F_ADD_SEALS", Errno::current());
  }
  if (::ftruncate(file->get(), 0) == 0 || errno != EPERM) {
    return Finding::no("a sealed file can still be resized");
  }
  return Finding::yes();
}

Finding probe_noexec_seal() {
  const auto file = make_memfd(MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (!file) return Finding::no("memfd_create", file.error());
  if (::fchmod(file->get(), 0700) == 0 || errno != EPERM) {
    return Finding::no("a sealed file can still be made executable");
  }
  return Finding::yes();
}

std::string size_name(int shift) {
  constexpr std::array kUnits = {"K", "M", "G"};
  const auto unit = static_cast<std::size_t>(shift / 10 - 1);
  return std::to_string(1 << (shift % 10)) + kUnits.at(unit);
}

/// Every size that x86-64 or another architecture has ever had; no page is taken.
Finding probe_hugetlb() {
  std::string sizes;
  Errno error(0);
  for (int shift = 14; shift <= 34; ++shift) {
    const UniqueFd file(::memfd_create(
        "shmvisor-check", MFD_CLOEXEC | MFD_HUGETLB | (static_cast<unsigned>(shift) << 26)));
    if (file.valid()) {
      sizes += (sizes.empty() ? "" : ", ") + size_name(shift);
    } else {
      error = Errno::current();
    }
  }
  if (sizes.empty()) return Finding::no("memfd_create", error);
  return Finding::yes(sizes);
}

/// A read-only description stays one, whatever the file's owner might be allowed to open.
Finding probe_reopen() {
  const auto file = make_memfd(MFD_ALLOW_SEALING);
  if (!file) return Finding::no("memfd_create", file.error());
  const auto writable = reopen(*file, O_RDWR);
  if (!writable) return Finding::no("open of " + descriptor_path(*file), writable.error());
  const auto read_only = reopen(*file, O_RDONLY);
  if (!read_only) return Finding::no("open of " + descriptor_path(*file), read_only.error());

  constexpr char kMark = 'x';
  char read_back = 0;
  if (::pwrite(writable->get(), &kMark, 1, 0) != 1 ||
      ::pread(read_only->get(), &read_back, 1, 0) != 1 || read_back != kMark) {
    return Finding::no("a reopened memfd is another file");
  }
  void* const mapping =
      ::mmap(nullptr, kSizeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, read_only->get(), 0);
  if (mapping != MAP_FAILED) {
    ::munmap(mapping, kSizeBytes);
    return Finding::no("a read-only description maps writable");
  }
  return Finding::yes();
}

/// Whether inotify has an event of `mask` to tell.
Result<bool> has_event(const UniqueFd& inotify, std::uint32_t mask) {
  alignas(inotify_event) char buffer[4096];
  const ssize_t size = ::read(inotify.get(), buffer, sizeof(buffer));
  if (size < 0 && errno == EAGAIN) return false;
  if (size < 0) return Errno::current();
  return (reinterpret_cast<const inotify_event*>(buffer)->mask & mask) != 0;
}

/// The last unmapping of a closed description is told, and nothing before.
Finding probe_inotify() {
  const auto file = make_memfd(0);
  if (!file) return Finding::no("memfd_create", file.error());
  const UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return Finding::no("inotify_init1", Errno::current());
  if (::inotify_add_watch(inotify.get(), descriptor_path(*file).c_str(), IN_CLOSE) < 0) {
    return Finding::no("inotify_add_watch", Errno::current());
  }
  auto description = reopen(*file, O_RDWR);
  if (!description) return Finding::no("open of " + descriptor_path(*file), description.error());
  void* const mapping = ::mmap(nullptr, kSizeBytes, PROT_READ, MAP_SHARED, description->get(), 0);
  if (mapping == MAP_FAILED) return Finding::no("mmap", Errno::current());
  description->reset();
  const Result<bool> early = has_event(inotify, IN_CLOSE);
  ::munmap(mapping, kSizeBytes);
  if (!early) return Finding::no("read of an event", early.error());
  if (*early) return Finding::no("IN_CLOSE came while the file was mapped");

  if (auto told = wait_readable(inotify.get()); !told) {
    return Finding::no("no IN_CLOSE at the last unmapping", told.error());
  }
  const Result<bool> late = has_event(inotify, IN_CLOSE_WRITE);
  if (!late) return Finding::no("read of an event", late.error());
  if (!*late) return Finding::no("another event than IN_CLOSE_WRITE at the last unmapping");
  return Finding::yes();
}

Finding probe_executable() {
  auto file = make_memfd(MFD_EXEC);
  if (!file && file.error() == Errno(EINVAL)) file = make_memfd(0);  // before Linux 6.3
  if (!file) return Finding::no("memfd_create", file.error());
  void* const code = ::mmap(nullptr, kSizeBytes, PROT_READ | PROT_EXEC, MAP_SHARED, file->get(), 0);
  if (code == MAP_FAILED) return Finding::no("mmap of it with PROT_EXEC", Errno::current());
  ::munmap(code, kSizeBytes);
  return Finding::yes();
}

Finding probe_call_page() {
  if (page_code::bytes().empty()) return Finding::no("there is no code for this processor yet");
  return probe_executable();
}

/// F_WRLCK succeeds exactly while ours is the only description.
Finding probe_lease() {
  auto file = make_memfd(0);
  if (!file) return Finding::no("memfd_create", file.error());
  const auto ours = reopen(*file, O_RDWR);
  if (!ours) return Finding::no("open of " + descriptor_path(*file), ours.error());
  file->reset();

  const auto take = [&] { return ::fcntl(ours->get(), F_SETLEASE, F_WRLCK) == 0; };
  if (!take()) return Finding::no("F_SETLEASE", Errno::current());
  if (::fcntl(ours->get(), F_SETLEASE, F_UNLCK) != 0) {
    return Finding::no("F_SETLEASE to F_UNLCK", Errno::current());
  }
  auto other = reopen(*ours, O_RDONLY);
  if (!other) return Finding::no("open of " + descriptor_path(*ours), other.error());
  if (take()) return Finding::no("F_SETLEASE overlooks another description");
  if (errno != EAGAIN) return Finding::no("F_SETLEASE of a file in use", Errno::current());
  other->reset();
  if (!take()) return Finding::no("F_SETLEASE after the last close", Errno::current());
  return Finding::yes();
}

Finding probe_cachestat() {
  const auto file = make_memfd(0);
  if (!file) return Finding::no("memfd_create", file.error());
  constexpr char kMark = 'x';
  if (::pwrite(file->get(), &kMark, 1, 0) != 1) return Finding::no("pwrite", Errno::current());
  cachestat_range whole{0, 0};
  struct cachestat pages {};
  if (::syscall(SYS_cachestat, file->get(), &whole, &pages, 0) != 0) {
    return Finding::no("cachestat", Errno::current());
  }
  if (pages.nr_cache == 0) return Finding::no("cachestat overlooks a page in memory");
  return Finding::yes();
}

}  // namespace

std::vector<Probe> memfd_probes() {
  using enum Probe::Need;
  return {
      {"memfd-sealing", probe_sealing,
       "a caller could shrink a segment under the others: memfd_create(2) with MFD_ALLOW_SEALING "
       "is needed",
       kFatal},
      {"memfd-reopen", probe_reopen,
       "read-only attaches and counting them need a description each: /proc/self/fd must be "
       "readable",
       kFatal},
      feature_probe(KernelFeature::kNoexecSeal, probe_noexec_seal, "a memfd without that seal"),
      {"memfd-hugetlb", probe_hugetlb, "SHM_HUGETLB fails, as natively"},
      feature_probe(KernelFeature::kCallPage, probe_call_page,
                    "attaches and detaches take more stops"),
      feature_probe(KernelFeature::kInotify, probe_inotify,
                    "removed segments are looked at once a second"),
      feature_probe(KernelFeature::kLeases, probe_lease,
                    "a lock on each description that is attached by (F_OFD_SETLK)"),
      feature_probe(KernelFeature::kCachestat, probe_cachestat, "the blocks of the memfd"),
  };
}

}  // namespace shmvisor
