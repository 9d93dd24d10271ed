#include "supervisor/inject/remote_space.h"

#include <sys/mman.h>

#include "supervisor/inject/borrowed_table.h"
#include "supervisor/process/borrowed_identity.h"

namespace shmvisor {
namespace {

int protection(const Access& access) {
  return (access.read ? PROT_READ : 0) | (access.write ? PROT_WRITE : 0) |
         (access.execute ? PROT_EXEC : 0);
}

int map_flags(Placement placement) {
  switch (placement) {
    case Placement::kAnywhere:
      return MAP_SHARED;
    case Placement::kExact:
      return MAP_SHARED | MAP_FIXED_NOREPLACE;
    case Placement::kReplacing:
      return MAP_SHARED | MAP_FIXED;
  }
  return MAP_SHARED;
}

constexpr std::size_t kMmapDescriptor = 4;

std::array<std::uint64_t, 6> mmap_arguments(const MapRequest& request) {
  return {request.address,
          request.length_bytes,
          static_cast<std::uint64_t>(protection(request.access)),
          static_cast<std::uint64_t>(map_flags(request.placement) |
                                     (request.reserved_already ? MAP_NORESERVE : 0)),
          0,  // the descriptor, once there is one
          0};
}

}  // namespace

/// Delivers the answer into the stopped caller and lets it go.
class RemoteSpace::StopRoute : public AnswerRoute {
 public:
  explicit StopRoute(PtraceStop stop) : stop_(std::move(stop)) {}

  PtraceStop& stop() { return stop_; }
  bool deliver(std::int64_t result) override {
    stop_.set_result(result);
    return stop_.release();
  }

 private:
  PtraceStop stop_;
};

Result<std::uint64_t> RemoteSpace::map(const MapRequest& request, BackingFile file) {
  const auto mapped = map_with_own_table(file.fd.get(), mmap_arguments(request));
  file.fd.reset();  // only the mapping shall count for in_use()
  if (!mapped) return mapped.error();
  return translate(*mapped, request);
}

Result<std::int64_t> RemoteSpace::map_with_own_table(int fd,
                                                     std::array<std::uint64_t, 6> arguments) {
  auto seized = seize();
  if (!seized) return seized.error();
  const Result<int> installed = call_.listener().respond_with_fd(call_.id(), fd);
  if (!installed && !leave_notification()) return Errno(ESRCH);
  if (const auto held = hold(std::move(*seized)); !held) return held.error();
  if (!installed && installed.error() != Errno(EMFILE)) return Errno(ENOMEM);
  if (!installed) {
    return BorrowedTable(*stop_, abi_, call_.listener(), expected_).map(fd, arguments);
  }
  arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*installed);
  const auto mapped = stop_->call(abi_, RemoteCall::kMmap, arguments);
  if (!mapped) return mapped.error();
  const auto closed =
      stop_->call(abi_, RemoteCall::kClose, {static_cast<std::uint64_t>(*installed)});
  if (!closed) return closed.error();
  return *mapped;
}

Result<void> RemoteSpace::unmap(const AddressRange& range) {
  if (stop_ == nullptr) {
    if (const auto stopped = stop(); !stopped) return stopped.error();
  }
  const auto unmapped = stop_->call(abi_, RemoteCall::kMunmap, {range.start, range.length});
  if (!unmapped) return unmapped.error();
  if (*unmapped < 0) return Errno(static_cast<int>(-*unmapped));
  return {};
}

Result<std::optional<MappedArea>> RemoteSpace::area_above(std::uint64_t address) {
  if (!map_) {
    auto map = MemoryMap::open(call_.tid(), features_);
    if (!map) return map.error();
    if (!call_.alive()) return Errno(ESRCH);
    map_.emplace(std::move(*map));
  }
  return map_->area_above(address, Areas::kShared);
}

Result<std::uint64_t> RemoteSpace::translate(std::int64_t mapped, const MapRequest& request) {
  if (mapped >= 0 || mapped < -4095) return static_cast<std::uint64_t>(mapped);
  const int error = static_cast<int>(-mapped);
  if (request.placement != Placement::kExact) return Errno(error);
  // MAP_FIXED_NOREPLACE says EEXIST where do_shmat() says EINVAL, and looks for the end of the
  // address space first, where do_shmat() looks for an overlap first.
  if (error == EEXIST) return Errno(EINVAL);
  if (error == ENOMEM && anything_mapped({request.address, request.length_bytes})) {
    return Errno(EINVAL);
  }
  return Errno(error);
}

bool RemoteSpace::anything_mapped(const AddressRange& range) {
  auto map = MemoryMap::open(call_.tid(), features_);
  if (!map) return false;
  const auto area = map->area_above(range.start, Areas::kAll);
  return area && *area && (*area)->range.overlaps(range);
}

Result<PtraceStop> RemoteSpace::seize() {
  pin_.emplace();
  auto stop = reach(call_.tid(), kToTrace, [this] { return PtraceStop::seize(call_.tid()); });
  if (stop) return stop;
  if (stop.error() != Errno(EPERM) || !call_.alive()) return Errno(ESRCH);  // a dying thread
  refusals_.warn_of(call_.tid());
  return Errno(EACCES);
}

Result<void> RemoteSpace::stop() {
  auto stop = seize();
  if (!stop) return stop.error();
  if (!leave_notification()) return Errno(ESRCH);
  return hold(std::move(*stop));
}

bool RemoteSpace::leave_notification() { return call_.listener().respond(call_.id(), 0).ok(); }

Result<void> RemoteSpace::hold(PtraceStop stop) {
  auto route = std::make_unique<StopRoute>(std::move(stop));
  stop_ = &route->stop();
  call_.reroute(std::move(route));
  return stop_->wait_until_stopped();
}

}  // namespace shmvisor
