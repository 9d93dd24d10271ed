#include "supervisor/saved/state_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <variant>

#include "emulation/abi/pages.h"
#include "emulation/abi/shm_abi.h"

namespace shmvisor::saved {
namespace {

Trouble cannot_read(Errno error) {
  return std::string("cannot be read: ") + std::strerror(error.value());
}

}  // namespace

Result<StateReader, Trouble> StateReader::open(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return cannot_read(Errno::current());
  if (!S_ISREG(status.st_mode)) return Trouble("is no regular file");
  return StateReader(std::move(file));
}

Result<std::optional<Record>, Trouble> StateReader::next() {
  if (ended_) return std::optional<Record>();
  record_at_ = at_;
  const auto header = read_header();
  if (!header) return header.error();
  const auto payload = read(payload_bytes_, header->payload_bytes);
  if (!payload) return payload.error();
  if (payload->size() != header->payload_bytes) return cut();
  if (checksum_of(*header, *payload) != header->checksum) {
    return altered("its checksum does not fit");
  }
  if (header->number != number_) return altered("another one belongs there");
  auto record = decode(*header, *payload);
  if (!record) return altered("it " + record.error());
  if (const auto placed = place(*record); !placed) return placed.error();
  ++number_;
  checksum_ = add_checksum(checksum_, header->checksum);
  return std::optional<Record>(std::move(*record));
}

Result<std::span<const std::byte>, Trouble> StateReader::read(std::vector<std::byte>& buffer,
                                                              std::size_t bytes) {
  if (buffer.size() < bytes) buffer.resize(bytes);
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::read(file_.get(), buffer.data() + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(Errno::current());
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  at_ += done;
  return std::span<const std::byte>(buffer).first(done);
}

Result<RecordHeader, Trouble> StateReader::read_header() {
  const auto bytes = read(header_bytes_, sizeof(RecordHeader));
  if (!bytes) return bytes.error();
  RecordHeader header;
  std::memcpy(&header, bytes->data(), bytes->size());
  if (number_ == 0 &&
      (bytes->size() < sizeof(header.magic) || header.magic != RecordHeader::kMagic)) {
    return Trouble("is no saved registry");
  }
  if (bytes->size() != sizeof(header)) return cut();
  if (const auto checked = check_header(header); !checked) return altered("it " + checked.error());
  return header;
}

Result<void, Trouble> StateReader::place(const Record& record) {
  const auto* const file = std::get_if<File>(&record);
  if ((number_ == 0) != (file != nullptr)) return altered("another one belongs there");
  if (file != nullptr) {
    if (file->page_bytes == kPageBytes) return {};
    return Trouble("is of a machine with pages of " + std::to_string(file->page_bytes) + " bytes");
  }
  if ((number_ == 1) != std::holds_alternative<RegistryState>(record)) {
    return altered("another one belongs there");
  }
  if (const auto* registry = std::get_if<RegistryState>(&record)) return place(*registry);
  if (const auto* segment = std::get_if<SegmentState>(&record)) return place(*segment);
  if (const auto* contents = std::get_if<Contents>(&record)) return place(*contents);
  if (const auto* removal = std::get_if<Removal>(&record)) return place(*removal);
  return place(std::get<End>(record));
}

Result<void, Trouble> StateReader::place(const RegistryState& registry) {
  registry_ = registry;
  return {};
}

Result<void, Trouble> StateReader::place(const SegmentState& segment) {
  if (segments_ == registry_->segments) return altered("there is one segment too many");
  if (last_ && IdSpace::index_of(segment.id) <= IdSpace::index_of(last_->id)) {
    return altered("segments are not in the order of their index");
  }
  const key_t key = segment.perm.key;
  if (key != abi::kIpcPrivate && !keys_.insert(key).second) {
    return altered("it has the key of another segment");
  }
  ids_.insert(segment.id);
  ++segments_;
  last_ = segment;
  contents_end_ = 0;
  return {};
}

Result<void, Trouble> StateReader::place(const Contents& contents) {
  if (!last_ || last_->id != contents.id || !ids_.contains(contents.id)) {
    return altered("it is of another segment than the one before");
  }
  const std::uint64_t mapped = last_->mapped_bytes();
  if (contents.offset_bytes < contents_end_) return altered("its pages came before");
  if (contents.offset_bytes > mapped || contents.bytes.size() > mapped - contents.offset_bytes) {
    return altered("its pages are beyond the end of the segment");
  }
  contents_end_ = contents.offset_bytes + contents.bytes.size();
  contents_bytes_ += contents.bytes.size();
  return {};
}

Result<void, Trouble> StateReader::place(const Removal& removal) {
  if (ids_.erase(removal.id) == 0) return altered("it removes a segment that is not there");
  return {};
}

Result<void, Trouble> StateReader::place(const End& end) {
  if (segments_ != registry_->segments || end.segments != ids_.size() ||
      end.contents_bytes != contents_bytes_ || end.checksum != checksum_) {
    return altered("it is the end of another file");
  }
  if (const auto checked = check_end_of_file(); !checked) return checked;
  ended_ = true;
  return {};
}

Result<void, Trouble> StateReader::check_end_of_file() {
  std::vector<std::byte> one;
  const std::uint64_t end = at_;
  const auto more = read(one, 1);
  if (!more) return more.error();
  if (more->empty()) return {};
  return Trouble("is altered: there is something behind its end, at byte " + std::to_string(end));
}

Trouble StateReader::altered(const std::string& what) const {
  return "is altered at byte " + std::to_string(record_at_) + ", in record " +
         std::to_string(number_) + ": " + what;
}

Trouble StateReader::cut() const {
  return "is cut: it ends at byte " + std::to_string(at_) + ", in record " +
         std::to_string(number_);
}

}  // namespace shmvisor::saved
