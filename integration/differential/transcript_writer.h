// TranscriptWriter: what a run saw, in words that are the same in every run.
//
// A line is the operation's number and FIELD=VALUE pairs without spaces. Values that differ by
// nature are shown as relations: process ids by the worker process's number, addresses in the
// windows relative to them, times as 0 or the number of ticks that came before, users of the run
// as uN.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "integration/differential/operation.h"
#include "integration/differential/protocol.h"
#include "integration/differential/test_maps.h"

namespace shmvisor {

class TranscriptWriter {
 public:
  explicit TranscriptWriter(uid_t first_user);

  void begin_line(std::size_t number);
  void end_line() { text_ += '\n'; }
  void field(std::string_view name, std::string_view value);
  [[nodiscard]] std::string take() { return std::move(text_); }

  // What names are made of.
  void name_process(pid_t pid, int number) { processes_[pid] = number; }
  void name_file(const TestMapping& mapping, const std::string& segment) {
    segments_[{mapping.file, mapping.name}].insert(segment);
  }
  /// The segments, as Interpreter::segment_name() calls them, that a mapped file may be. The kernel
  /// shows the identifier as the inode, which is the same in several IPC namespaces.
  [[nodiscard]] const std::set<std::string>& segments_of(const TestMapping& mapping) const;
  /// Times from now on are later than all before. Waits for the next second.
  void tick();

  // What a call answered.
  void result(const Operation& operation, const Response& response);
  /// `command` and `buffer_given` as the call had them; `buffer` is where good ones are.
  void shmctl(int command, bool buffer_given, const Response& response);
  /// The identifiers that it lists.
  std::vector<int> proc_table(std::string_view table);
  /// `moment` is "at" for what is there now, "was" for what was there before the operation.
  void mapping(const TestMapping& mapping, std::string_view moment = "at");

  [[nodiscard]] static std::string error_text(int error);

 private:
  void segment(const Response& response);
  int table_row(std::string_view row);
  [[nodiscard]] std::string time_text(std::int64_t seconds) const;
  [[nodiscard]] std::string process_text(std::int64_t pid) const;
  [[nodiscard]] std::string user_text(std::int64_t uid) const;

  const uid_t first_user_;
  const std::time_t start_;
  std::vector<std::time_t> ticks_;
  std::map<pid_t, int> processes_;
  std::map<std::pair<decltype(TestMapping::file), std::string>, std::set<std::string>> segments_;
  std::string text_;
};

}  // namespace shmvisor
