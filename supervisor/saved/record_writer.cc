#include "supervisor/saved/record_writer.h"

#include <unistd.h>

#include <cerrno>
#include <variant>

namespace shmvisor::saved {
namespace {

constexpr std::size_t kMostWaitingBytes = std::size_t{64} << 10;

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Errno::current();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<void> RecordWriter::write(const Record& record) {
  if (std::holds_alternative<SegmentState>(record)) ++end_.segments;
  if (std::holds_alternative<Removal>(record)) --end_.segments;
  if (const auto* contents = std::get_if<Contents>(&record)) {
    end_.contents_bytes += contents->bytes.size();
  }
  return put(record);
}

Result<void> RecordWriter::finish() {
  if (const auto ended = put(end_); !ended) return ended;
  return flush();
}

Result<void> RecordWriter::put(const Record& record) {
  const Payload payload = encode(record);
  RecordHeader header;
  header.kind = static_cast<std::uint16_t>(payload.kind);
  header.payload_bytes = static_cast<std::uint32_t>(payload.fixed_bytes + payload.rest.size());
  header.number = number_++;
  header.checksum = checksum_of(header, payload.head(), payload.rest);
  end_.checksum = add_checksum(end_.checksum, header.checksum);
  const auto header_bytes = std::as_bytes(std::span(&header, 1));
  waiting_.insert(waiting_.end(), header_bytes.begin(), header_bytes.end());
  waiting_.insert(waiting_.end(), payload.head().begin(), payload.head().end());
  if (payload.rest.empty() && waiting_.size() < kMostWaitingBytes) return {};
  if (const auto flushed = flush(); !flushed) return flushed;
  return write_all(fd_, payload.rest);
}

Result<void> RecordWriter::flush() {
  const auto written = write_all(fd_, waiting_);
  waiting_.clear();
  return written;
}

}  // namespace shmvisor::saved
