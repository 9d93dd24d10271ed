#include "supervisor/inject/forced_unmapping.h"

#include <sys/mman.h>

#include <array>
#include <vector>

#include "emulation/abi/abi.h"
#include "policy/base/error_result.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/arch/remote_call.h"

namespace shmvisor {
namespace {

/// Errors of the thread, and not of one of its ranges: the next one would have them too.
bool is_final(Errno error) {
  return error == Errno(EACCES) || error == Errno(ESRCH) || error == Errno(EOPNOTSUPP);
}

/// What a call returned that did not fail. A filter of the process's own may answer any errno.
Result<std::uint64_t> done(const Result<std::int64_t>& called) {
  if (!called) return called.error();
  if (!is_error_result(*called)) return static_cast<std::uint64_t>(*called);
  const Errno error(static_cast<int>(-*called));
  return is_final(error) ? Errno(EPERM) : error;
}

class Replacing {
 public:
  explicit Replacing(StoppedThread& thread) : thread_(thread), abi_(thread.registers().abi()) {}

  Result<void> reserve(const AddressRange& range) {
    const auto mapped =
        done(map(range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED));
    if (!mapped) return mapped.error();
    return check(*mapped == range.start);
  }

  Result<void> put_end_of_file(const AddressRange& range) {
    const AddressRange page{0, kPageBytes};
    const auto file = done(map(page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS));
    if (!file) return file.error();
    if (const auto is_page = check(is_address(*file)); !is_page) return is_page;
    const auto longer = done(
        call(RemoteCall::kMremap, {*file, kPageBytes, kPageBytes + range.length, MREMAP_MAYMOVE}));
    const auto is_longer = longer ? check(is_address(*longer)) : Result<void>(longer.error());
    if (!is_longer) {
      (void)unmap({*file, kPageBytes});
      return is_longer;
    }
    const std::uint64_t end = *longer + kPageBytes;
    const auto put = done(call(RemoteCall::kMremap, {end, range.length, range.length,
                                                     MREMAP_MAYMOVE | MREMAP_FIXED, range.start}));
    (void)unmap({*longer, put ? kPageBytes : kPageBytes + range.length});
    if (!put) return put.error();
    return check(*put == range.start);
  }

 private:
  static bool is_address(std::uint64_t result) { return result != 0 && result % kPageBytes == 0; }
  /// A filter of the process's own can let a call have any result, and answers with the call's
  /// number where it raises SIGSYS (SECCOMP_RET_TRAP).
  Result<void> check(bool is_what_it_must_be) {
    if (is_what_it_must_be) return {};
    return Errno(EOPNOTSUPP);
  }
  Result<std::int64_t> call(RemoteCall which, const std::array<std::uint64_t, 6>& arguments) {
    return thread_.call(abi_, which, arguments);
  }
  Result<std::int64_t> map(const AddressRange& range, int protection, int flags) {
    return call(RemoteCall::kMmap,
                {range.start, range.length, static_cast<std::uint64_t>(protection),
                 static_cast<std::uint64_t>(flags), kNoFile, 0});
  }
  Result<std::int64_t> unmap(const AddressRange& range) {
    return call(RemoteCall::kMunmap, {range.start, range.length});
  }

  StoppedThread& thread_;
  const Abi abi_;
};

}  // namespace

Result<std::vector<AddressRange>> mapped_ranges(pid_t tid, const FileIdentity& file,
                                                KernelFeatures& features) {
  std::vector<AddressRange> ranges;
  auto map = MemoryMap::open(tid, features);
  if (!map) return map.error();
  for (std::uint64_t from = 0;;) {
    const auto area = map->area_above(from, Areas::kShared);
    if (!area) return area.error();
    if (!*area) return ranges;
    if ((*area)->file == file) ranges.push_back((*area)->range);
    from = (*area)->range.end();
  }
}

Result<ForcedUnmapping> unmap_by_force(HeldProcess& process, const FileIdentity& file,
                                       AccessGives gives, KernelFeatures& features) {
  StoppedThread* const worker = process.worker();
  if (worker == nullptr) return Errno(EACCES);
  const auto ranges = mapped_ranges(worker->tid(), file, features);
  if (!ranges) return ranges.error();
  ForcedUnmapping unmapped;
  Replacing replacing(*worker);
  for (const AddressRange& range : *ranges) {
    const auto replaced =
        gives == AccessGives::kSigbus ? replacing.put_end_of_file(range) : replacing.reserve(range);
    if (replaced) {
      ++unmapped.ranges;
      unmapped.bytes += range.length;
    } else {
      unmapped.error = replaced.error();
      if (is_final(unmapped.error)) break;
    }
  }
  return unmapped;
}

}  // namespace shmvisor
