#include "supervisor/attaches/attach_counter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "supervisor/attaches/kept_maps.h"
#include "supervisor/attaches/process_look.h"
#include "supervisor/attaches/waiting_process.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/warn_once.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

constexpr std::chrono::milliseconds kThreadPatience(500);
/// Half of what the server's watchdog waits for before it lets others go ahead by itself.
constexpr std::chrono::microseconds kLongForOthers(500);
/// The most looks that no thread waits for, of one set of processes.
constexpr int kMostAlone = 2;
/// Calls, until it is tried again whether they can be counted at once.
constexpr int kMostLeftOut = 15;
/// Of one user's processes, in one count: each in an exec that does not end costs a millisecond or
/// two, the first one twelve.
constexpr int kMostStuckOfOne = 6;
/// For all that may_end_soon() in one count. There is none where the count has taken so long
/// already that its caller should not wait for more.
constexpr std::chrono::milliseconds kPatienceForLate(4);
constexpr std::chrono::milliseconds kLongCount(25);
constexpr std::chrono::microseconds kBetweenGlances(200);

Errno out_of(const char* what) {
  static WarnOnce warn;
  warn("attaches cannot be counted: out of {}; calls that ask for them fail with ENOMEM", what);
  return Errno(ENOMEM);
}

/// A number that leaves out processes without any look would be a guess.
Errno too_many_processes() {
  log_limited(spdlog::level::warn, LogTopic::kRefusedCalls, LogLimiter::kNobody,
              "attaches cannot be counted in time, there are too many processes or mappings; "
              "calls that ask for them fail with ENOMEM");
  return Errno(ENOMEM);
}

/// A process that is not looked at.
void add_last_known(pid_t pid, std::span<const MappedFile> mapped,
                    std::span<const FileIdentity> files, MappingCounts& counts) {
  counts.complete = false;
  MappingCounts::LastKnown last{pid, {}};
  for (std::size_t place = 0; place < files.size() && !mapped.empty(); ++place) {
    const std::uint64_t mappings = mappings_of(files[place], mapped);
    if (mappings == 0) continue;
    last.mapped.push_back({place, mappings});
    counts.of_files[place] += mappings;
  }
  counts.last_known.push_back(std::move(last));
}

void add_known(pid_t pid, const std::optional<KnownMappings::Known>& known,
               std::span<const FileIdentity> files, MappingCounts& counts) {
  const bool maps = known && known->late != KnownMappings::Phase::kOpening;
  add_last_known(pid,
                 maps ? std::span<const MappedFile>(known->files) : std::span<const MappedFile>(),
                 files, counts);
}

/// False where it is not at rest, or that is not known of each file.
bool add_at_rest(pid_t pid, std::span<const FileIdentity> files, MappingCounts& counts) {
  std::vector<std::uint64_t> mappings;
  for (const FileIdentity& file : files) {
    const auto of_file = KeptMaps::all().at_rest(pid, file);
    if (!of_file) return false;
    mappings.push_back(*of_file);
  }
  for (std::size_t place = 0; place < files.size(); ++place) {
    counts.of_files[place] += mappings[place];
  }
  return true;
}

/// Whether a look goes on whose thread is lost, at a process that never took long: it waits for the
/// CPU, or for a lock that is held for a moment.
bool may_end_soon(const std::optional<KnownMappings::Known>& known) {
  return known && known->seen && !known->slow && known->late == KnownMappings::Phase::kWalking;
}

/// Whose processes are in execs that do not end, of those that one count looks at.
class StuckOwners {
 public:
  explicit StuckOwners(const KnownMappings& memory) : memory_(memory) {}

  /// A thread is lost in the process. Whether its owner's other processes are to be left out of
  /// this count: further ones would keep everybody waiting, and take the threads that others need.
  bool lose_one(pid_t pid) {
    return ++lost_[memory_.payer_of(pid)] >= kMostStuckOfOne || !memory_.may_look_at(pid);
  }

 private:
  const KnownMappings& memory_;
  std::map<LosableThreads::Payer, int> lost_;
};

}  // namespace

bool AttachCounter::add_last_seen(pid_t pid, std::span<const FileIdentity> files,
                                  MappingCounts& counts) const {
  const auto seen = memory_->last_seen(pid);
  if (!seen) return false;
  add_last_known(pid, *seen, files, counts);
  return true;
}

void AttachCounter::refresh(pid_t pid, std::span<const FileIdentity> files) const {
  if (memory_->lost() >= kMostAlone) return;
  const auto look =
      std::make_shared<ProcessLook>(features_, memory_, files, std::vector<pid_t>{pid},
                                    std::span<const pid_t>(), ProcessLook::Times());
  std::function<void()> task = [look] { look->run(); };
  // From here on nothing needs memory: a late thread must come back.
  look->leave_alone();
  if (!LosableThreads::all().run(std::move(task), std::chrono::milliseconds(0),
                                 LosableThreads::Reserve::kIsForOthers)) {
    memory_->end_late(pid);
  }
}

void AttachCounter::add_slow(pid_t pid, const std::optional<KnownMappings::Known>& known,
                             std::span<const FileIdentity> files, MappingCounts& counts) const {
  add_known(pid, known, files, counts);
  // A look that nobody waits for ends early.
  if (known && known->needs_refreshing) refresh(pid, files);
}

void AttachCounter::leave_out_slow(std::vector<pid_t>& pids, std::span<const FileIdentity> files,
                                   MappingCounts& counts) const {
  std::erase_if(pids, [&](pid_t pid) {
    const auto known = memory_->known_of(pid);
    if (!known || known->late || !known->slow) return false;
    add_slow(pid, known, files, counts);
    return true;
  });
}

void AttachCounter::add_late(std::span<const pid_t> pids, KnownMappings::Clock::time_point listed,
                             std::span<const FileIdentity> files, MappingCounts& counts) const {
  const auto end = std::min(KnownMappings::Clock::now() + kPatienceForLate, listed + kLongCount);
  for (const pid_t pid : pids) {
    auto known = memory_->known_of(pid);
    while (known && known->late && KnownMappings::Clock::now() < end) {
      std::this_thread::sleep_for(kBetweenGlances);
      known = memory_->known_of(pid);
    }
    if (const auto seen = memory_->seen_since(pid, listed)) {
      add_last_known(pid, *seen, files, counts);
    } else {
      // In an exec still; or its memory map is locked; or it is slow, and the look that was given
      // up ended early, so that the last one holds; or it maps nothing, or is gone.
      add_known(pid, known, files, counts);
    }
  }
}

bool AttachCounter::may_probe(const std::optional<KnownMappings::Known>& known) const {
  return known && !known->seen && known->late == KnownMappings::Phase::kWalking &&
         features_.usable(KernelFeature::kProcmapQuery);
}

AttachCounter::Chosen AttachCounter::processes_to_look_at(const std::vector<pid_t>& all,
                                                          std::span<const FileIdentity> files,
                                                          MappingCounts& counts) const {
  memory_->prune(all);
  std::vector<pid_t> unseen;
  std::vector<pid_t> late;
  std::vector<pid_t> likely;
  std::vector<pid_t> chosen;
  using Slow = std::pair<KnownMappings::Clock::time_point, pid_t>;
  std::vector<Slow> slow;
  chosen.reserve(all.size());
  std::size_t at_rest = 0;
  for (const pid_t pid : all) {
    if (add_at_rest(pid, files, counts)) {
      ++at_rest;
      continue;
    }
    const auto known = memory_->known_of(pid);
    const bool may_look = memory_->may_look_at(pid);
    if (may_look && may_probe(known)) {
      unseen.push_back(pid);
      counts.complete = false;
    } else if (may_end_soon(known)) {
      late.push_back(pid);
    } else if ((known && known->late) || !may_look) {
      add_known(pid, known, files, counts);
      if (!known) (void)add_last_seen(pid, files, counts);
    } else if (!known) {
      (memory_->mapped_one_of(pid, files) ? likely : chosen).push_back(pid);
    } else {
      if (maps_one_of(files, known->files) && !known->too_slow) {
        slow.emplace_back(known->when, pid);
      } else {
        add_slow(pid, known, files, counts);
      }
    }
  }
  // First the processes that mapped one of the files when they were last looked at: of these the
  // count is true, however many others there are. Last those that take long, of which there may be
  // no time for all: the one whose last look is the oldest comes first.
  likely.insert(likely.end(), chosen.begin(), chosen.end());
  std::ranges::sort(slow);
  for (const auto& [when, pid] : slow) likely.push_back(pid);
  return {std::move(likely), std::move(unseen), std::move(late), at_rest};
}

std::optional<std::uint64_t> AttachCounter::try_at_once(const FileIdentity& file,
                                                        pid_t waiting) const {
  if (!features_.usable(KernelFeature::kProcmapQuery) || memory_->lost() != 0) return std::nullopt;
  const Result<std::vector<pid_t>> all = scope_.processes();
  if (!all || std::ranges::find(*all, waiting) == all->end() || memory_->known_of(waiting)) {
    return std::nullopt;
  }
  std::uint64_t others = 0;
  for (const pid_t pid : *all) {
    if (pid == waiting) continue;
    const auto at_rest = KeptMaps::all().at_rest(pid, file);
    if (!at_rest) return std::nullopt;
    others += *at_rest;
  }
  const auto own = all->size() == 1
                       ? count_alone(waiting, file, features_)
                       : count_among_resting(waiting, file, features_, memory_->distinct(file));
  if (!own || *own + others == 0) return std::nullopt;
  return *own + others;
}

std::optional<std::uint64_t> AttachCounter::count_at_once(const FileIdentity& file, pid_t waiting) {
  if (waiting == 0) return std::nullopt;
  if (left_out_ < to_leave_out_) {
    ++left_out_;
    return std::nullopt;
  }
  const auto counted = try_at_once(file, waiting);
  left_out_ = 0;
  to_leave_out_ = counted
                      ? std::uint8_t{0}
                      : static_cast<std::uint8_t>(std::min(2 * to_leave_out_ + 1, kMostLeftOut));
  return counted;
}

Result<MappingCounts> AttachCounter::count_mappings(std::span<const FileIdentity> files,
                                                    pid_t waiting) {
  if (files.empty()) return MappingCounts();
  const auto began = std::chrono::steady_clock::now();
  auto counts = (memory_->takes_long(files) ? long_counts_ : counts_).of(files);
  took_long_ = std::chrono::steady_clock::now() - began >= kLongForOthers;
  if (counts && waiting != 0) count_waiting(waiting, files, *counts);
  return counts;
}

void AttachCounter::count_waiting(pid_t waiting, std::span<const FileIdentity> files,
                                  MappingCounts& counts) const {
  const auto is_its = [waiting](const MappingCounts::LastKnown& one) { return one.pid == waiting; };
  if (std::ranges::none_of(counts.last_known, is_its) || memory_->wants_steps(waiting)) return;
  const auto found = count_anew(waiting, files, features_);
  if (!found) return;
  for (const MappingCounts::LastKnown& one : counts.last_known) {
    if (!is_its(one)) continue;
    for (const auto& [place, mappings] : one.mapped) counts.of_files[place] -= mappings;
  }
  for (std::size_t place = 0; place < files.size(); ++place) {
    counts.of_files[place] += (*found)[place];
  }
  std::erase_if(counts.last_known, is_its);
}

Result<MappingCounts> AttachCounter::count_now(std::span<const FileIdentity> files) const {
  const auto listed = ProcessLook::Clock::now();
  const Result<std::vector<pid_t>> all = scope_.processes();
  if (!all) return out_of("descriptors or memory");
  MappingCounts counts;
  LookPatience patience{.most_time = most_time_};
  Chosen chosen;
  const auto begin = [&](ProcessLook::Clock::time_point opened_since) {
    counts = {std::vector<std::uint64_t>(files.size())};
    chosen = processes_to_look_at(*all, files, counts);
    ProcessLook::Times times{opened_since, {}};
    if (chosen.pids.size() + chosen.at_rest == all->size()) times.listed = listed;
    return std::make_shared<ProcessLook>(features_, memory_, files, std::move(chosen.pids),
                                         chosen.unseen, times);
  };
  auto look = begin({});
  bool again = false;
  StuckOwners owners(*memory_);
  for (;;) {
    if (!LosableThreads::all().run([look] { look->run(); }, kThreadPatience)) {
      return out_of("threads");
    }
    if (look->wait(patience)) {
      if (again || !look->must_count_again()) break;
      again = true;
      look = begin(ProcessLook::Clock::now());
      continue;
    }
    ProcessLook::GivenUp given_up = look->given_up();
    counts.complete = false;
    if (given_up.pid != 0) {
      spdlog::debug("process {} keeps a look at its memory map waiting", given_up.pid);
    }
    const auto was_unseen = [before = chosen.unseen](pid_t pid) {
      return std::ranges::find(before, pid) != before.end();
    };
    if (given_up.pid != 0 && given_up.phase == KnownMappings::Phase::kOpening &&
        owners.lose_one(given_up.pid)) {
      std::erase_if(given_up.rest, [&, owner = memory_->payer_of(given_up.pid)](pid_t pid) {
        if (memory_->payer_of(pid) != owner) return false;
        if (!add_last_seen(pid, files, counts))
          add_known(pid, memory_->known_of(pid), files, counts);
        return true;
      });
    }
    if (given_up.pid != 0 && given_up.phase == KnownMappings::Phase::kOpening) {
      // Where it is in no exec, a lock of ours kept the look.
      chosen.late.push_back(given_up.pid);
    }
    const bool walking = given_up.pid != 0 && given_up.phase == KnownMappings::Phase::kWalking;
    if (patience.over()) {
      if (walking) given_up.rest.push_back(given_up.pid);
      for (const pid_t pid : given_up.rest) {
        if (was_unseen(pid)) {
          add_slow(pid, memory_->known_of(pid), files, counts);
        } else if (!add_last_seen(pid, files, counts)) {
          return too_many_processes();
        }
      }
      break;
    }
    chosen.unseen.clear();
    std::ranges::copy_if(given_up.rest, std::back_inserter(chosen.unseen), was_unseen);
    std::erase_if(given_up.rest, was_unseen);
    if (walking) {
      const auto known = memory_->known_of(given_up.pid);
      if (may_probe(known) && !was_unseen(given_up.pid)) {
        chosen.unseen.push_back(given_up.pid);
      } else if (may_end_soon(known)) {
        chosen.late.push_back(given_up.pid);
      } else {
        add_slow(given_up.pid, known, files, counts);
      }
    }
    if (patience.work_left.count() == 0) leave_out_slow(given_up.rest, files, counts);
    look = look->look_at(std::move(given_up.rest), chosen.unseen);
  }
  if (look->failure()) return out_of("descriptors or memory");
  MappingCounts found = look->totals();
  for (std::size_t place = 0; place < files.size(); ++place) {
    counts.of_files[place] += found.of_files[place];
  }
  std::ranges::move(found.last_known, std::back_inserter(counts.last_known));
  add_late(chosen.late, listed, files, counts);
  return counts;
}

}  // namespace shmvisor
