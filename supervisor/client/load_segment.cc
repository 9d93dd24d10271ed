// `shmvisor load`: a new segment with what standard input has.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/client/progress.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/signs_of_life.h"
#include "supervisor/client/sparse_copy.h"
#include "supervisor/kernel/descriptor_path.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

Problem cannot(const char* what, Errno error) {
  return Problem{std::string("cannot ") + what + ": " + std::strerror(error.value())};
}

/// What is to be loaded: a file, from an offset on.
struct Source {
  UniqueFd own;  ///< where it was a stream
  int fd = STDIN_FILENO;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// A stream does not tell how long it is, and what nobody knows the size of cannot be allocated.
/// `bound`: what `most_bytes` is.
Result<Source, Problem> take_stream(std::uint64_t most_bytes, const std::string& bound) {
  Source source;
  source.own = UniqueFd(::memfd_create("shmvisor-load", MFD_CLOEXEC));
  if (!source.own.valid()) return cannot("keep standard input", Errno::current());
  source.fd = source.own.get();
  SparseOutput kept(source.fd, SparseOutput::Holds::kAnything);
  Progress progress("standard input", 0);
  std::vector<std::byte> buffer(kPieceBytes);
  for (;;) {
    progress.at(kept.bytes());
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot("read standard input", Errno::current());
    if (got == 0) break;
    const auto put = kept.write(std::span(buffer).first(static_cast<std::size_t>(got)));
    if (!put) return cannot("keep standard input", put.error());
    if (kept.bytes() > most_bytes) {
      return Problem{"standard input is longer than " + bound + ", " + std::to_string(most_bytes) +
                     " bytes"};
    }
  }
  if (const auto finished = kept.finish(); !finished) {
    return cannot("keep standard input", finished.error());
  }
  source.end = kept.bytes();
  return source;
}

Result<Source, Problem> take_input(std::uint64_t most_bytes, const std::string& bound) {
  struct stat status {};
  const off_t offset = ::lseek(STDIN_FILENO, 0, SEEK_CUR);
  if (::fstat(STDIN_FILENO, &status) != 0) return cannot("read standard input", Errno::current());
  if (offset < 0 || !S_ISREG(status.st_mode)) return take_stream(most_bytes, bound);
  Source source;
  source.begin = static_cast<std::uint64_t>(offset);
  source.end = std::max(source.begin, static_cast<std::uint64_t>(status.st_size));
  return source;
}

Result<void, Problem> fill(const UniqueFd& reference, const Source& source, RunConnection& run) {
  const UniqueFd memory(::open(descriptor_path(reference).c_str(), O_RDWR | O_CLOEXEC));
  if (!memory.valid()) return cannot("open the new memory", Errno::current());
  SparseOutput output(memory.get(), SparseOutput::Holds::kZeros);
  std::vector<std::byte> buffer(kPieceBytes);
  SignsOfLife signs(run);
  Progress progress("new segment", source.end - source.begin);
  while (source.begin + output.bytes() < source.end) {
    progress.at(output.bytes());
    const auto piece = read_piece(source.fd, source.begin + output.bytes(), source.end, buffer);
    if (!piece) return cannot("read standard input", piece.error());
    if (piece->hole_bytes == 0 && piece->data_bytes == 0) {
      return Problem{"standard input became shorter while it was read"};
    }
    if (const auto put = output.put(*piece, buffer); !put) {
      return cannot("write the new memory", put.error());
    }
    if (const auto heard = signs.give(); !heard) return heard;
  }
  // A hole at the end was not passed.
  (void)::lseek(source.fd, static_cast<off_t>(source.end), SEEK_SET);
  return {};
}

Result<Json, Problem> only_registry(RunConnection& run, const std::string& name) {
  const auto registries = fetch_registries(run, name);
  if (!registries) return registries.error();
  if (registries->size() == 1) return registries->front();
  return Problem{run.hello().called() +
                 (registries->empty() ? " has no registry"
                                      : " has more than one registry; choose one by --registry")};
}

}  // namespace

Result<void, Problem> load_segment(RunConnection& run, const ShowOptions& options) {
  if (::isatty(STDIN_FILENO) == 1) {
    return Problem{"nothing to load: redirect standard input from a file"};
  }
  const auto registry = only_registry(run, options.registry);
  if (!registry) return registry.error();
  const Json& name = registry->at("name");
  constexpr std::uint64_t kMostBytes = std::numeric_limits<off_t>::max();
  const std::uint64_t shmmax = registry->at("limits").at("shmmax").get<std::uint64_t>();
  const std::uint64_t most_bytes = std::min(shmmax, kMostBytes);
  // Of a stream that never ends no more is kept than could be loaded.
  const bool has_bound = options.size_bytes && *options.size_bytes < most_bytes;
  const auto source = has_bound ? take_input(*options.size_bytes, "--size")
                                : take_input(most_bytes, "a segment may be");
  if (!source) return source.error();
  const std::uint64_t input_bytes = source->end - source->begin;
  const std::uint64_t size_bytes = options.size_bytes.value_or(input_bytes);
  if (input_bytes == 0 && !options.size_bytes) return Problem{"standard input is empty"};
  if (size_bytes < input_bytes) {
    return Problem{"standard input has " + std::to_string(input_bytes) + " bytes, and --size is " +
                   std::to_string(size_bytes)};
  }
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%#o", options.mode);
  Json wanted = {
      {"request", "allocate"}, {"registry", name}, {"size", size_bytes}, {"mode", mode.data()}};
  if (options.key) wanted["key"] = *options.key;
  if (options.uid) wanted["uid"] = *options.uid;
  if (options.gid) wanted["gid"] = *options.gid;
  const auto allocated = run.ask(wanted);
  if (!allocated) return allocated.error();
  const UniqueFd memory = run.take_file();
  if (!memory.valid()) return Problem{run.hello().called() + " sent no memory"};
  if (const auto filled = fill(memory, *source, run); !filled) return filled;
  const auto inserted = run.ask({{"request", "insert"}});
  if (!inserted) return inserted.error();
  const Json& shmid = inserted->at("shmid");
  if (options.json) {
    print_json({{"registry", name}, {"shmid", shmid}, {"segsz", size_bytes}});
  } else {
    print(shmid.dump() + "\n");
  }
  return {};
}

}  // namespace shmvisor::client
