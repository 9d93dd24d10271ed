#include "supervisor/inject/lent_descriptor.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/bit_claim.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// The smallest table has room for 64 (NR_OPEN_DEFAULT of include/linux/fdtable.h). A table that is
/// about to be full grows to 256, for two KiB; only beyond that we ask how large it is.
constexpr std::array kTableSizes = {64, 256};
/// So many numbers are looked at, from the highest on down.
constexpr int kMostLooks = 3;

constexpr int kMostIdentifications = 10;
constexpr std::chrono::milliseconds kBetweenIdentifications(1);

std::uint64_t draw_mark() {
  // From 2^40 on, so that no file has as many bytes; they do not repeat.
  static const std::uint64_t first = [] {
    std::uint64_t drawn = 0;
    (void)!::getrandom(&drawn, sizeof(drawn), 0);
    return (std::uint64_t{1} << 61) | (drawn & ((std::uint64_t{1} << 61) - 1));
  }();
  static std::atomic<std::uint64_t> drawn{0};
  constexpr std::uint64_t kMask = (std::uint64_t{1} << 62) - 1;
  constexpr std::uint64_t kLeast = std::uint64_t{1} << 40;
  return ((first + drawn.fetch_add(1, std::memory_order_relaxed)) & kMask) | kLeast;
}

/// Numbers, modulo 64, that a thread is lending: two threads shall not lend the same one of a
/// table.
std::atomic<std::uint64_t> claimed_numbers{0};

/// Whether nothing is open there, as far as we can see.
bool is_free(pid_t tid, int number) {
  const std::string path = proc_path(tid, ("fd/" + std::to_string(number)).c_str());
  const auto seen = with_identity_of(tid, kToRead, [&]() -> Result<void> {
    struct stat status {};
    // Of the link, not of what it leads to, which may be a file system of the caller's.
    if (::lstat(path.c_str(), &status) != 0) return Errno::current();
    return {};
  });
  return !seen && seen.error() == Errno(ENOENT);
}

/// False where the kernel has no such way.
bool may_be_lent(const Result<int>& lent) { return lent || lent.error() != Errno(EINVAL); }

}  // namespace

LentDescriptor::LentDescriptor(int fd) : fd_(fd), mark_(draw_mark()) {
  (void)::lseek(fd_, static_cast<off_t>(mark_), SEEK_SET);
}

std::optional<Result<int>> LentDescriptor::lend_as(Add add, int highest, Listener& listener,
                                                   std::uint64_t id, pid_t tid) const {
  for (int number = highest; number > highest - kMostLooks; --number) {
    const BitClaim claim(claimed_numbers, static_cast<unsigned>(number) % 64);
    if (!claim.held() || !is_free(tid, number)) continue;
    const Result<int> lent = (listener.*add)(id, fd_, number);
    if (lent) return lent;
    // The last: the kernel cannot do this at all.
    for (const int final_error : {ENOENT, EINPROGRESS, EINVAL}) {
      if (lent.error() == Errno(final_error)) return lent;
    }
    break;
  }
  return std::nullopt;
}

std::optional<Result<int>> LentDescriptor::lend_high(Add add, Listener& listener, std::uint64_t id,
                                                     pid_t tid) const {
  for (const int size : kTableSizes) {
    if (const auto lent = lend_as(add, size - 1, listener, id, tid)) return lent;
  }
  const auto status = TaskStatus::read(tid);
  if (!status || status->descriptor_table_size <= kTableSizes.back()) return std::nullopt;
  return lend_as(add, status->descriptor_table_size - 1, listener, id, tid);
}

Result<int> LentDescriptor::lend(Listener& listener, std::uint64_t id, pid_t tid) const {
  const auto lent = lend_high(&Listener::add_fd_as, listener, id, tid);
  return lent && may_be_lent(*lent) ? *lent : listener.add_fd(id, fd_);
}

Result<int> LentDescriptor::lend_as_answer(Listener& listener, std::uint64_t id, pid_t tid) const {
  const auto answer = lend_high(&Listener::respond_with_fd_as, listener, id, tid);
  if (answer && may_be_lent(*answer)) return *answer;
  const auto lent = lend(listener, id, tid);
  if (!lent) return lent;
  if (const auto answered = listener.respond(id, *lent); !answered) return answered.error();
  return lent;
}

std::optional<bool> LentDescriptor::is_at(pid_t tid, int number) const {
  const auto info = open_guarded_proc_file(tid, ("fdinfo/" + std::to_string(number)).c_str());
  if (!info) {
    if (info.error() == Errno(ESRCH)) return false;  // no such number, or no such thread
    return std::nullopt;
  }
  constexpr std::string_view kField = "pos:\t";
  std::array<char, 64> text{};
  const ssize_t size = ::read(info->get(), text.data(), text.size());
  if (size < 0) return errno == ENOENT ? std::optional(false) : std::nullopt;
  const std::string_view line(text.data(), static_cast<std::size_t>(size));
  std::uint64_t position = 0;
  if (!line.starts_with(kField)) return std::nullopt;
  std::from_chars(line.data() + kField.size(), line.data() + line.size(), position);
  return position == mark_;
}

std::optional<bool> LentDescriptor::identify(pid_t tid, int number) const {
  auto ours = is_at(tid, number);
  for (int tries = 0; !ours && tries < kMostIdentifications; ++tries) {
    std::this_thread::sleep_for(kBetweenIdentifications);
    ours = is_at(tid, number);
  }
  return ours;
}

}  // namespace shmvisor
