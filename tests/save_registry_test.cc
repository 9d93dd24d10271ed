// `shmvisor save`: what it asks of a run, and what of a segment that goes meanwhile.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/client/saved_files.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/saved/state_reader.h"
#include "tests/saved_file.h"
#include "tests/scratch_folder.h"

namespace shmvisor {
namespace {

using client::Json;

constexpr int kSegments = 600;
constexpr int kListed = 256;  // in a reply

/// A run with so many segments of one page that has something in it, which answers when it is
/// asked.
class RunWithSegments {
 public:
  /// Those `gone` are in the snapshot, and cannot be opened; those `removed` can, and are in no
  /// list.
  RunWithSegments(std::vector<int> gone, std::vector<int> removed)
      : gone_(std::move(gone)), removed_(std::move(removed)) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    theirs_.reset(ends[0]);
    ours_.reset(ends[1]);
    memory_ = memory_file();
    EXPECT_EQ(::ftruncate(memory_.get(), static_cast<off_t>(kPageBytes)), 0);
    EXPECT_EQ(::pwrite(memory_.get(), "some", 4, 0), 4);
    struct stat status {};
    EXPECT_EQ(::fstat(memory_.get(), &status), 0);
    inode_ = status.st_ino;
    say({{"hello", {{"protocol", 1}, {"version", "9"}, {"kind", "run"}, {"pid", 5}}}});
    thread_ = std::thread([this] { serve(); });
  }
  ~RunWithSegments() { end(); }

  client::RunConnection connect() {
    return std::move(*client::RunConnection::over(std::move(ours_)));
  }
  /// Once the client's connection is closed: how often that was requested.
  int asked(const std::string& request) {
    end();
    return asked_[request];
  }

 private:
  static bool has(const std::vector<int>& ids, int id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }

  void end() {
    if (thread_.joinable()) thread_.join();
  }

  void serve() {
    std::string text;
    std::array<char, 4096> some{};
    for (ssize_t got = 0; (got = ::recv(theirs_.get(), some.data(), some.size(), 0)) > 0;) {
      text.append(some.data(), static_cast<std::size_t>(got));
      if (text.back() != '\n') continue;
      answer(Json::parse(text));
      text.clear();
    }
  }

  void answer(const Json& asked) {
    const auto request = asked.at("request").get<std::string>();
    ++asked_[request];
    if (request == "registries") {
      say({{"registries", Json::array({{{"name", "main"}}})}, {"next", nullptr}});
    } else if (request == "snapshot") {
      say({{"segments", kSegments}, {"dest", 0}}, snapshot().get());
    } else if (request == "open" && has(gone_, asked.at("shmid"))) {
      say({{"error", {{"code", "no-such-segment"}, {"message", "there is none"}}}});
    } else if (request == "open") {
      say({{"shmid", asked.at("shmid")}}, memory_.get());
    } else if (request == "segments") {
      say(list(asked.at("from").get<int>()));
    } else {
      say({{"reply", request}});
    }
  }

  [[nodiscard]] Json list(int from) const {
    Json segments = Json::array();
    int id = from;
    for (; id < kSegments && segments.size() < kListed; ++id) {
      if (has(gone_, id) || has(removed_, id)) continue;
      segments.push_back({{"shmid", id}, {"inode", inode_}});
    }
    return {{"segments", std::move(segments)}, {"next", id < kSegments ? Json(id) : Json()}};
  }

  [[nodiscard]] UniqueFd snapshot() const {
    saved::RegistryState registry;
    registry.limits = {.shmmax = 1 << 20, .shmall = 1 << 20, .shmmni = kSegments};
    registry.segments = kSegments;
    std::vector<saved::Record> records = {
        saved::File{.page_bytes = static_cast<std::uint32_t>(kPageBytes)}, registry};
    for (int id = 0; id < kSegments; ++id) {
      saved::SegmentState segment;
      segment.id = id;
      segment.size_bytes = segment.page_bytes = kPageBytes;
      segment.allocated_pages = 1;
      segment.inode = inode_;
      records.emplace_back(segment);
    }
    return file_of(records);
  }

  void say(const Json& reply, int file = -1) const {
    const std::string text = reply.dump() + "\n";
    const auto bytes = std::as_bytes(std::span(text));
    const auto sent = send_bytes(theirs_.get(), bytes, std::span(&file, file < 0 ? 0 : 1));
    EXPECT_TRUE(sent);
  }

  const std::vector<int> gone_;
  const std::vector<int> removed_;
  UniqueFd theirs_;
  UniqueFd ours_;
  UniqueFd memory_;
  std::uint64_t inode_ = 0;
  std::map<std::string, int> asked_;
  std::thread thread_;
};

/// The identifiers in a file.
std::vector<int> ids_in(const std::string& path) {
  auto reader = saved::StateReader::open(path);
  EXPECT_TRUE(reader);
  std::map<int, bool> ids;
  for (;;) {
    const auto record = reader->next();
    EXPECT_TRUE(record) << record.error();
    if (!record || !*record) break;
    if (const auto* segment = std::get_if<saved::SegmentState>(&**record)) ids[segment->id] = true;
    if (const auto* removal = std::get_if<saved::Removal>(&**record)) ids.erase(removal->id);
  }
  std::vector<int> all;
  for (const auto& [id, there] : ids) all.push_back(id);
  return all;
}

TEST(SaveRegistryTest, ListsOnceWhatIsStillThere) {
  const ScratchFolder folder;
  RunWithSegments served({3, 4}, {0, 255, 256, 599});
  std::string problem;
  {
    auto run = served.connect();
    client::ShowOptions options;
    options.output = folder.path("saved");
    const auto saved = client::save_registry(run, options);
    if (!saved) problem = saved.error().text;
  }
  EXPECT_EQ(problem, "");
  EXPECT_EQ(served.asked("segments"), 3) << "a list has 256, and counts the attaches of all";
  EXPECT_EQ(served.asked("open"), kSegments) << "each is a record of the audit";
  EXPECT_EQ(served.asked("snapshot"), 1);
  const std::vector<int> ids = ids_in(folder.path("saved"));
  EXPECT_EQ(ids.size(), kSegments - 6U);
  for (const int id : {0, 3, 4, 255, 256, 599}) {
    EXPECT_EQ(std::count(ids.begin(), ids.end(), id), 0) << id;
  }
}

}  // namespace
}  // namespace shmvisor
