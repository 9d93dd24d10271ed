// Files as `shmvisor save` writes them, for tests: made of records in memory.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/saved/record_writer.h"
#include "supervisor/saved/state_reader.h"

namespace shmvisor {

using Bytes = std::vector<std::byte>;

inline UniqueFd memory_file() { return UniqueFd(::memfd_create("saved", MFD_CLOEXEC)); }

/// The records, then an End.
inline UniqueFd file_of(const std::vector<saved::Record>& records) {
  UniqueFd file = memory_file();
  saved::RecordWriter writer(file.get());
  for (const saved::Record& record : records) {
    if (!writer.write(record)) return UniqueFd();
  }
  if (!writer.finish() || ::lseek(file.get(), 0, SEEK_SET) != 0) return UniqueFd();
  return file;
}

inline Bytes bytes_of(const UniqueFd& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return {};
  Bytes bytes(static_cast<std::size_t>(status.st_size));
  const ssize_t got = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  bytes.resize(static_cast<std::size_t>(got < 0 ? 0 : got));
  return bytes;
}

inline UniqueFd file_with(const Bytes& bytes) {
  UniqueFd file = memory_file();
  const bool written =
      ::pwrite(file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  return written ? std::move(file) : UniqueFd();
}

/// Empty where the file is whole.
inline std::string trouble_with(UniqueFd file) {
  saved::StateReader reader(std::move(file));
  for (;;) {
    const auto record = reader.next();
    if (!record) return record.error();
    if (!*record) return {};
  }
}

inline saved::File saved_head() { return {kPageBytes, 1'764'512'345, "0.1.0"}; }

inline saved::RegistryState saved_registry(std::uint32_t segments) {
  saved::RegistryState registry;
  registry.segments = segments;
  return registry;
}

inline saved::SegmentState saved_segment(int id, key_t key = 0, std::uint64_t size_bytes = 10000) {
  saved::SegmentState segment;
  segment.id = id;
  segment.perm = {key, 0, 0, 0, 0, 0600};
  segment.size_bytes = size_bytes;
  segment.page_bytes = kPageBytes;
  return segment;
}

}  // namespace shmvisor
