#include "supervisor/client/sparse_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "supervisor/kernel/descriptor_path.h"

namespace shmvisor::client {
namespace {

/// The smallest page that there is: the end of a hole is the end of a page.
constexpr std::size_t kUnitBytes = 4096;

bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes.front() == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

Result<Piece> read_piece(int file, std::uint64_t offset, std::uint64_t end,
                         std::span<std::byte> buffer) {
  Piece piece;
  struct stat status {};
  if (::fstat(file, &status) != 0) return Errno::current();
  end = std::min(end, static_cast<std::uint64_t>(status.st_size));
  if (offset >= end) return piece;
  // Not all files tell of their holes.
  off_t data = ::lseek(file, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) data = static_cast<off_t>(end);
  const std::uint64_t from =
      std::clamp(data < 0 ? offset : static_cast<std::uint64_t>(data), offset, end);
  piece.hole_bytes = from - offset;
  // Where the next hole begins is not asked: of memory that takes as long as to read all before it.
  // Its zeros are found as any.
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - from);
  ssize_t got = 0;
  do {
    got = ::pread(file, buffer.data(), wanted, static_cast<off_t>(from));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Errno::current();
  piece.data_bytes = static_cast<std::size_t>(got);
  (void)::lseek(file, static_cast<off_t>(from) + got, SEEK_SET);
  return piece;
}

Result<Piece> read_memory(const UniqueFd& reference, std::uint64_t offset, std::uint64_t end,
                          std::span<std::byte> buffer) {
  const UniqueFd memory(::open(descriptor_path(reference).c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory.valid()) return Errno::current();
  return read_piece(memory.get(), offset, end, buffer);
}

PageRun first_run(std::span<const std::byte> bytes, std::size_t page_bytes) {
  const auto page = [bytes, page_bytes](std::size_t at) {
    return bytes.subspan(at, std::min(page_bytes, bytes.size() - at));
  };
  PageRun run;
  run.zero = !bytes.empty() && all_zero(page(0));
  while (run.bytes < bytes.size() && all_zero(page(run.bytes)) == run.zero) {
    run.bytes += page(run.bytes).size();
  }
  return run;
}

SparseOutput::SparseOutput(int fd, Holds holds) : fd_(fd), holds_zeros_(holds == Holds::kZeros) {
  struct stat status {};
  const int flags = ::fcntl(fd, F_GETFL);
  is_file_ =
      flags >= 0 && (flags & O_APPEND) == 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

bool SparseOutput::can_skip() const {
  if (!is_file_ || holds_zeros_) return is_file_;
  struct stat status {};
  const off_t at = ::lseek(fd_, 0, SEEK_CUR);
  return at >= 0 && ::fstat(fd_, &status) == 0 && at >= status.st_size;
}

Result<void> SparseOutput::skip(std::uint64_t bytes) {
  if (bytes == 0) return {};
  if (can_skip()) {
    if (::lseek(fd_, static_cast<off_t>(bytes), SEEK_CUR) < 0) return Errno::current();
    ends_with_hole_ = true;
    bytes_ += bytes;
    return {};
  }
  static constexpr std::array<std::byte, std::size_t{64} * 1024> kZeros{};
  while (bytes != 0) {
    const std::size_t some = std::min<std::uint64_t>(bytes, kZeros.size());
    if (const auto written = write_all(std::span(kZeros).first(some)); !written) return written;
    bytes -= some;
  }
  return {};
}

Result<void> SparseOutput::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const PageRun run = first_run(bytes, kUnitBytes);
    const auto put = run.zero ? skip(run.bytes) : write_all(bytes.first(run.bytes));
    if (!put) return put;
    bytes = bytes.subspan(run.bytes);
  }
  return {};
}

Result<void> SparseOutput::put(const Piece& piece, std::span<const std::byte> buffer) {
  if (const auto skipped = skip(piece.hole_bytes); !skipped) return skipped;
  return write(buffer.first(piece.data_bytes));
}

Result<void> SparseOutput::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Errno::current();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    bytes_ += static_cast<std::uint64_t>(put);
    ends_with_hole_ = false;
  }
  return {};
}

Result<void> SparseOutput::finish() {
  if (!ends_with_hole_ || holds_zeros_) return {};
  const off_t at = ::lseek(fd_, 0, SEEK_CUR);
  if (at < 0 || ::ftruncate(fd_, at) != 0) return Errno::current();
  return {};
}

}  // namespace shmvisor::client
