// `shmvisor dump`: the memory of a segment, as it is while others use it.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "supervisor/client/progress.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/sparse_copy.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

bool has_pages(const UniqueFd& reference) {
  struct stat status {};
  return ::fstat(reference.get(), &status) == 0 && status.st_blocks != 0;
}

/// `place`: where it goes, in words.
Result<void, Problem> copy_memory(const UniqueFd& memory, std::uint64_t bytes,
                                  const std::string& segment, const std::string& place) {
  std::vector<std::byte> buffer(kPieceBytes);
  SparseOutput output(STDOUT_FILENO, SparseOutput::Holds::kAnything);
  const auto trouble = [](const std::string& what, Errno error) {
    return Problem{"cannot " + what + ": " + std::strerror(error.value())};
  };
  const bool had_pages = has_pages(memory);
  Progress progress(segment, bytes);
  while (output.bytes() < bytes) {
    progress.at(output.bytes());
    const auto piece = read_memory(memory, output.bytes(), bytes, buffer);
    if (!piece) return trouble("read the memory", piece.error());
    if (piece->hole_bytes == 0 && piece->data_bytes == 0) {
      return Problem{segment + " has less memory than it should"};
    }
    if (const auto put = output.put(*piece, buffer); !put) {
      return trouble("write to " + place, put.error());
    }
  }
  if (const auto finished = output.finish(); !finished) {
    return trouble("write to " + place, finished.error());
  }
  // A segment that is destroyed loses its pages, whoever reads them.
  if (had_pages && !has_pages(memory)) {
    return Problem{segment + " was removed meanwhile; what was written is not all of it"};
  }
  return {};
}

}  // namespace

Result<void, Problem> dump_segment(RunConnection& run, const ShowOptions& options) {
  if (options.output.empty() && ::isatty(STDOUT_FILENO) == 1) {
    return Problem{"memory is not written to a terminal; redirect it, or give --output FILE"};
  }
  const int shmid = options.number.value_or(-1);
  const auto found = only_segment(run, options.registry, shmid);
  if (!found) return found.error();
  const auto reply =
      run.ask({{"request", "open"}, {"registry", found->at("registry")}, {"shmid", shmid}});
  if (!reply) return reply.error();
  const UniqueFd memory = run.take_file();
  if (!memory.valid()) return Problem{run.hello().called() + " sent no memory"};
  if (const auto redirected = redirect(options); !redirected) return redirected;
  return copy_memory(memory, reply->at("segsz").get<std::uint64_t>(),
                     "segment " + std::to_string(shmid), output_name(options));
}

}  // namespace shmvisor::client
