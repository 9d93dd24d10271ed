// What the client commands show: each asks a run, and prints to standard output.
//
// Tables have the columns and words of ipcs(1), or of /proc/PID/maps; with `json` they are one JSON
// object. An answer that cannot be understood throws an exception of nlohmann's.
//
// Errors: a Problem. Thread rule: the main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

struct ShowOptions {
  std::string registry;  ///< empty: all
  bool json = false;
  bool quiet = false;            ///< identifiers alone
  bool all = false;              ///< processes that may be supervised too
  std::optional<int> number;     ///< an identifier, or a pid
  bool svg = false;              ///< a picture, and no text
  std::string output;            ///< a file instead of standard output
  bool follows_already = false;  ///< the run tells of its calls unasked
  bool goes_on = false;          ///< another process has begun the output, for an earlier server
  double delay_seconds = 1;      ///< between two looks
  std::string place;             ///< where to listen
  // rm:
  std::vector<int> numbers;          ///< identifiers
  std::optional<std::uint32_t> key;  ///< of the segment
  bool orphans = false;              ///< those that nobody maps, and whose users are gone
  // load; the key too:
  std::optional<std::uint64_t> size_bytes;  ///< more than the input has, or as much
  unsigned mode = 0600;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  // detach:
  std::optional<int> process;      ///< one alone
  std::string signal = "SIGSEGV";  ///< what access gives from then on
  // upgrade:
  std::string program;  ///< empty: where the running one was started from
  // set:
  std::optional<std::uint64_t> shmmax;  ///< in bytes
  std::optional<std::uint64_t> shmall;  ///< in pages
  std::optional<std::uint64_t> shmmni;
};

/// `shmvisor ls`
Result<void, Problem> list_segments(RunConnection& run, const ShowOptions& options);
/// `shmvisor stat ID`
Result<void, Problem> show_segment(RunConnection& run, const ShowOptions& options);
/// `shmvisor limits`
Result<void, Problem> show_limits(RunConnection& run, const ShowOptions& options);
/// `shmvisor ps`
Result<void, Problem> list_processes(RunConnection& run, const ShowOptions& options);
/// `shmvisor maps [ID|PID]`
Result<void, Problem> list_maps(RunConnection& run, const ShowOptions& options);
/// `shmvisor graph`: processes and segments, and which maps which
Result<void, Problem> draw_graph(RunConnection& run, const ShowOptions& options);

/// `shmvisor top`: until the run ends or somebody quits; `run` is used up.
Result<void, Problem> watch_run(RunConnection& run, const ShowOptions& options);
/// `shmvisor web`: until the run ends, or a signal comes; `run` is used up.
Result<void, Problem> serve_web(RunConnection& run, const ShowOptions& options);

/// `shmvisor report`
Result<void, Problem> show_report(RunConnection& run, const ShowOptions& options);
/// `shmvisor rm`: the segments that are named, or that the options select; prints their
/// identifiers.
Result<void, Problem> remove_segments(RunConnection& run, const ShowOptions& options);
/// `shmvisor dump ID`: its memory, to standard output.
Result<void, Problem> dump_segment(RunConnection& run, const ShowOptions& options);
/// `shmvisor load`: prints the new segment's identifier.
Result<void, Problem> load_segment(RunConnection& run, const ShowOptions& options);
/// `shmvisor detach ID`: prints the processes.
Result<void, Problem> detach_segment(RunConnection& run, const ShowOptions& options);
/// `shmvisor set`
Result<void, Problem> set_limits(RunConnection& run, const ShowOptions& options);
/// `shmvisor reload`: prints what needs a restart, and which rules never match.
Result<void, Problem> reload_configuration(RunConnection& run, const ShowOptions& options);
/// `shmvisor upgrade`: another program takes over; prints both versions.
Result<void, Problem> upgrade_run(RunConnection& run, const ShowOptions& options);
/// `shmvisor trace`: until the run ends, or standard output cannot be written.
Result<void, Problem> trace_calls(RunConnection& run, const ShowOptions& options);
/// `shmvisor events`
Result<void, Problem> follow_events(RunConnection& run, const ShowOptions& options);

/// Standard output; whether it could be written is seen at the end of the program.
void print(const std::string& text);
/// An object, indented, in ASCII alone.
void print_json(const Json& object);
/// "1 segment", "2 segments". `what`: one of them.
std::string counted(std::uint64_t number, const std::string& what);
/// What the output goes to, for people.
std::string output_name(const ShowOptions& options);
/// Standard output becomes the file of the options, where they name one.
Result<void, Problem> redirect(const ShowOptions& options);
/// "\n------ WORDS --------\n", with the name of the registry where there are several, or where it
/// is not that of a run.
std::string ipcs_heading(const std::string& words, const Json& registry, bool several);

}  // namespace shmvisor::client
