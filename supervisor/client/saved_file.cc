// `shmvisor fsck`: what is in a file of `shmvisor save`, and whether it is whole.
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/client/ipcs_text.h"
#include "supervisor/client/saved_files.h"
#include "supervisor/control/registry_json.h"
#include "supervisor/saved/state_reader.h"

namespace shmvisor::client {
namespace {

/// As PROTOCOL.md has a segment that nobody has attached.
Json describe(const saved::SegmentState& segment, std::uint64_t contents_bytes) {
  ShmTableRow row;
  row.id = segment.id;
  const IpcPerm& perm = segment.perm;
  row.ds.key = perm.key;
  row.ds.uid = perm.uid;
  row.ds.gid = perm.gid;
  row.ds.cuid = perm.cuid;
  row.ds.cgid = perm.cgid;
  row.ds.mode = perm.mode;
  row.ds.segsz_bytes = segment.size_bytes;
  row.ds.atime = segment.atime;
  row.ds.dtime = segment.dtime;
  row.ds.ctime = segment.ctime;
  row.ds.cpid = segment.cpid;
  row.ds.lpid = segment.lpid;
  Json described = control::describe(row, {});
  for (const char* const of_a_run :
       {"resident_pages", "swapped_pages", "device", "inode", "awaits_first_user"}) {
    described.erase(of_a_run);
  }
  described["huge_page_bytes"] = segment.huge ? Json(segment.page_bytes) : Json();
  described["contents_pages"] = contents_bytes / kPageBytes;
  return described;
}

/// What came of the file.
class Contained {
 public:
  void operator()(const saved::File& file) { file_ = file; }
  void operator()(const saved::RegistryState& registry) { registry_ = registry; }
  void operator()(const saved::SegmentState& segment) { of(segment.id).first = segment; }
  void operator()(const saved::Contents& contents) {
    of(contents.id).second += contents.bytes.size();
  }
  void operator()(const saved::Removal& removal) { segments_.erase(IdSpace::index_of(removal.id)); }
  void operator()(const saved::End& /*end*/) {}

  [[nodiscard]] Json described() const {
    Json segments = Json::array();
    for (const auto& [index, segment] : segments_) {
      segments.push_back(describe(segment.first, segment.second));
    }
    return {{"version", std::string(file_.version)},
            {"saved_at", file_.saved_at},
            {"limits", control::limits_of(registry_.limits)},
            {"shm_rmid_forced", registry_.rmid_forced},
            {"shm_next_id", registry_.next_id},
            {"dest", registry_.doomed},
            {"segments", std::move(segments)}};
  }

 private:
  using SegmentAndContents = std::pair<saved::SegmentState, std::uint64_t>;  ///< in bytes

  SegmentAndContents& of(int id) { return segments_[IdSpace::index_of(id)]; }

  saved::File file_;
  saved::RegistryState registry_;
  std::map<int, SegmentAndContents> segments_;  ///< by index
};

/// The clause that says what is wrong; empty where nothing is.
std::string read_all(saved::StateReader& reader, Contained& contained) {
  for (;;) {
    const auto record = reader.next();
    if (!record) return record.error();
    if (!*record) return {};
    std::visit(contained, **record);
  }
}

void print_text(const Json& described) {
  const Json& segments = described.at("segments");
  std::uint64_t pages = 0;
  std::string rows;
  const UserNames users;
  for (const Json& segment : segments) {
    pages += segment.at("contents_pages").get<std::uint64_t>();
    rows += ipcs_row(segment, users);
  }
  print("\nsaved by shmvisor " + described.at("version").get<std::string>() + ", " +
        ipcs_time(described.at("saved_at").get<std::int64_t>()) + "\n" +
        ipcs_heading("Shared Memory Limits", described, false) + ipcs_limits(described) +
        ipcs_heading("Shared Memory Segments", described, false) + ipcs_column_names() + rows +
        "\n" + counted(segments.size(), "segment") + ", " + counted(pages, "page") +
        " of contents\n");
  if (const auto doomed = described.at("dest").get<std::uint64_t>(); doomed != 0) {
    print(counted(doomed, "removed segment") + " that " + (doomed == 1 ? "was" : "were") +
          " attached " + (doomed == 1 ? "is" : "are") + " not in it\n");
  }
}

}  // namespace

Result<void, Problem> show_saved_file(const std::string& path, bool json) {
  auto reader = saved::StateReader::open(path);
  if (!reader) return Problem{path + " " + reader.error()};
  Contained contained;
  const std::string trouble = read_all(*reader, contained);
  Json described = {{"file", path}, {"whole", trouble.empty()}};
  if (!trouble.empty()) described["trouble"] = trouble;
  described.update(contained.described());
  if (json) {
    print_json(described);
  } else if (!described.at("version").get<std::string>().empty()) {
    print_text(described);
  }
  if (!trouble.empty()) return Problem{path + " " + trouble};
  if (!json) print("whole\n\n");
  return {};
}

}  // namespace shmvisor::client
