// `shmvisor save`: a registry as it is between two calls, and the contents of its segments as they
// are while others use them.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/client/remove_when_killed.h"
#include "supervisor/client/saved_files.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"
#include "supervisor/client/signs_of_life.h"
#include "supervisor/client/sparse_copy.h"
#include "supervisor/control/registry_place.h"
#include "supervisor/saved/record_writer.h"
#include "supervisor/saved/state_reader.h"
#include "supervisor/saved/whole_file.h"

namespace shmvisor::client {
namespace {

constexpr std::size_t kPieceBytes = saved::kMostContentsBytes;
constexpr const char* kGone = "no-such-segment";  // the code of that refusal

/// What the operator should know, though the file is whole.
void tell(const std::string& what) { (void)std::fprintf(stderr, "shmvisor: %s\n", what.c_str()); }

/// The registry of that name; without a name the one that the command began with.
Result<std::string, Problem> choose_registry(RunConnection& run, const std::string& name) {
  const auto registries = fetch_registries(run, name);
  if (!registries) return registries.error();
  if (registries->size() == 1) return registries->front().at("name").get<std::string>();
  const std::string title = run.hello().called();
  if (registries->empty()) return Problem{title + " has no registry"};
  if (registries->front().at("name") != kMainRegistry) {
    return Problem{title + " has more than one registry; choose one by --registry"};
  }
  tell("only the registry main is saved, and no other one of " + title +
       "; each is, by --registry, to a file of its own");
  return std::string(kMainRegistry);
}

class Saving {
 public:
  Saving(RunConnection& run, std::string registry, const std::string& path, int fd)
      : run_(run),
        signs_(run),
        registry_(std::move(registry)),
        path_(path),
        writer_(fd),
        buffer_(kPieceBytes) {}

  /// A snapshot, and the contents of those of its segments that are still there.
  Result<void, Problem> save(saved::StateReader& snapshot) {
    for (;;) {
      const auto record = snapshot.next();
      if (!record) return Problem{title() + ": its snapshot " + record.error()};
      if (!*record) break;
      if (const auto saved = save_record(**record); !saved) return saved;
    }
    if (const auto checked = leave_out_removed(); !checked) return checked;
    return written(writer_.finish());
  }

  [[nodiscard]] const saved::RecordWriter& writer() const { return writer_; }
  [[nodiscard]] const std::vector<int>& removed() const { return removed_; }

 private:
  [[nodiscard]] std::string title() const { return run_.hello().called(); }

  [[nodiscard]] Result<void, Problem> written(const Result<void>& result) const {
    if (result) return {};
    return Problem{"cannot write " + path_ + ": " + std::strerror(result.error().value())};
  }

  Result<void, Problem> save_record(const saved::Record& record) {
    if (std::holds_alternative<saved::End>(record)) return {};
    if (const auto put = written(writer_.write(record)); !put) return put;
    const auto* const segment = std::get_if<saved::SegmentState>(&record);
    // Without a page it has nothing but zeros.
    if (segment == nullptr || segment->allocated_pages == 0) return {};
    const auto memory = open(*segment);
    if (!memory) return memory.error();
    if (!memory->valid()) return leave_out(segment->id);
    read_.emplace(segment->id, segment->inode);
    return save_contents(*segment, *memory);
  }

  Result<void, Problem> leave_out(int id) {
    removed_.push_back(id);
    return written(writer_.write(saved::Removal{id}));
  }

  /// One that is destroyed loses its pages, whoever reads them. Whether any was is asked for all at
  /// once: a list has many, and the attaches that it counts are dear.
  Result<void, Problem> leave_out_removed() {
    if (read_.empty()) return {};
    std::map<int, std::uint64_t> gone = read_;
    const auto listed = for_each_segment(run_, registry_, [&gone](const Json& segment) {
      const auto found = gone.find(segment.at("shmid").get<int>());
      const bool is_it =
          found != gone.end() && segment.at("inode").get<std::uint64_t>() == found->second;
      if (is_it) gone.erase(found);
    });
    if (!listed) return listed;
    for (const auto& [id, inode] : gone) {
      if (const auto left_out = leave_out(id); !left_out) return left_out;
    }
    std::ranges::sort(removed_);
    return {};
  }

  /// A reference to its memory; invalid where it is not there any more.
  Result<UniqueFd, Problem> open(const saved::SegmentState& segment) {
    const auto reply =
        run_.ask({{"request", "open"}, {"registry", registry_}, {"shmid", segment.id}});
    if (!reply && reply.error().code == kGone) return UniqueFd();
    if (!reply) return reply.error();
    UniqueFd memory = run_.take_file();
    struct stat status {};
    const bool is_it =
        memory.valid() && ::fstat(memory.get(), &status) == 0 && status.st_ino == segment.inode;
    return is_it ? std::move(memory) : UniqueFd();
  }

  Result<void, Problem> save_contents(const saved::SegmentState& segment, const UniqueFd& memory) {
    const std::uint64_t end = segment.mapped_bytes();
    for (std::uint64_t at = 0; at < end;) {
      const auto piece = read_memory(memory, at, end, buffer_);
      if (!piece) {
        return Problem{"cannot read segment " + std::to_string(segment.id) + ": " +
                       std::strerror(piece.error().value())};
      }
      if (piece->hole_bytes == 0 && piece->data_bytes == 0) break;
      at += piece->hole_bytes;
      const auto saved = save_piece(segment.id, at, std::span(buffer_).first(piece->data_bytes));
      if (!saved) return saved;
      at += piece->data_bytes;
      if (const auto heard = signs_.give(); !heard) return heard;
    }
    return {};
  }

  Result<void, Problem> save_piece(int id, std::uint64_t at, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const PageRun run = first_run(bytes, kPageBytes);
      if (!run.zero) {
        const auto put = written(writer_.write(saved::Contents{id, at, bytes.first(run.bytes)}));
        if (!put) return put;
      }
      bytes = bytes.subspan(run.bytes);
      at += run.bytes;
    }
    return {};
  }

  RunConnection& run_;
  SignsOfLife signs_;
  const std::string registry_;
  const std::string& path_;
  saved::RecordWriter writer_;
  std::vector<std::byte> buffer_;
  std::map<int, std::uint64_t> read_;  ///< identifiers and inodes
  std::vector<int> removed_;
};

/// What is not in the file.
void tell_of_the_rest(std::uint64_t doomed, const std::vector<int>& removed) {
  if (doomed != 0) {
    tell("not saved: " + counted(doomed, "removed segment") + " that " +
         (doomed == 1 ? "is" : "are") + " still attached");
  }
  if (removed.empty()) return;
  std::string ids;
  for (const int id : removed) ids += " " + std::to_string(id);
  tell("not saved, since they were removed meanwhile:" + ids);
}

}  // namespace

Result<void, Problem> save_registry(RunConnection& run, const ShowOptions& options) {
  const auto cannot_write = [&options](Errno error) {
    const std::string why = error == Errno(EINVAL) ? "it is no regular file"
                                                   : std::string(std::strerror(error.value()));
    return Problem{"cannot write " + options.output + ": " + why};
  };
  auto file = saved::WholeFile::begin(options.output);
  if (!file) return cannot_write(file.error());
  remove_when_killed(file->unfinished());
  const auto registry = choose_registry(run, options.registry);
  if (!registry) return registry.error();
  const auto reply = run.ask({{"request", "snapshot"}, {"registry", *registry}});
  if (!reply) return reply.error();
  UniqueFd snapshot = run.take_file();
  if (!snapshot.valid()) return Problem{run.hello().called() + " sent no snapshot"};
  saved::StateReader reader(std::move(snapshot));
  Saving saving(run, *registry, options.output, file->fd());
  if (const auto saved = saving.save(reader); !saved) return saved;
  if (const auto whole = file->commit(); !whole) return cannot_write(whole.error());
  const auto doomed = reply->at("dest").get<std::uint64_t>();
  tell_of_the_rest(doomed, saving.removed());
  if (options.json) {
    print_json({{"registry", *registry},
                {"file", options.output},
                {"segments", saving.writer().segments()},
                {"contents_bytes", saving.writer().contents_bytes()},
                {"dest", doomed},
                {"removed_meanwhile", saving.removed()}});
  }
  return {};
}

}  // namespace shmvisor::client
