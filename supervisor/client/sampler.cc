#include "supervisor/client/sampler.h"

#include <exception>
#include <utility>

namespace shmvisor::client {
namespace {

using Clock = std::chrono::steady_clock;

/// Throws where a member that is shown is missing, or of another type: here, and not where it is
/// shown.
void check(const Json& segment) {
  for (const char* const name :
       {"shmid", "uid", "segsz", "resident_pages", "nattch", "cpid", "device", "inode"}) {
    (void)segment.at(name).get<std::uint64_t>();
  }
  for (const char* const name : {"key", "mode"}) {
    (void)segment.at(name).get_ref<const std::string&>();
  }
  for (const char* const name : {"dest", "locked"}) (void)segment.at(name).get<bool>();
}

}  // namespace

Sampler::Sampler(EventLoop& loop, RunConnection run, bool with_processes, Got got)
    : work_(std::make_shared<Work>(std::move(run), with_processes)),
      got_(std::move(got)),
      task_(loop, [this](std::optional<View>& view) {
        got_(view ? std::move(*view) : View(Problem{"there is no memory to look at it"}));
      }) {}

void Sampler::begin() {
  if (!task_.under_way()) (void)task_.begin([work = work_] { return work->take(); });
}

bool Sampler::stop() {
  constexpr std::chrono::milliseconds kEnding(1000);
  {
    const MutexLock lock(work_->mutex);
    work_->run.interrupt();
  }
  return task_.wait_for_end(kEnding);
}

Sampler::View Sampler::Work::take() {
  try {
    return look();
  } catch (const Json::exception& error) {
    return Problem{"its answer cannot be understood: " + printable(error.what())};
  } catch (const std::exception& error) {  // not in the log, which is where the screen is
    return Problem{printable(error.what())};
  }
}

Result<void, Problem> Sampler::Work::connect() {
  auto again = RunConnection::connect_to(run.path());
  if (!again) return again.error();
  const MutexLock lock(mutex);
  run = std::move(*again);
  return {};
}

Result<RunView, Problem> Sampler::Work::look() {
  if (!run.has_failed()) {
    auto seen = look_once();
    if (seen || !run.has_failed()) return seen;
  }
  if (const auto connected = connect(); !connected) return connected.error();
  auto seen = look_once();
  if (seen) return seen;
  return Problem{seen.error().text};
}

Result<RunView, Problem> Sampler::Work::look_once() {
  run.answer_by(Clock::now() + kBound);
  RunView seen;
  auto sample = take_sample(run, [&seen](const std::string& registry, const Json& segment) {
    if (seen.segments.size() == kMostSegments) {
      ++seen.segments_left_out;
      return;
    }
    check(segment);
    Json named = {{"registry", registry}};
    named.update(segment);
    seen.segments.push_back(std::move(named));
  });
  if (!sample) return sample.error();
  seen.sample = std::move(*sample);
  seen.taken_at = Clock::now();
  if (!with_processes || !run.hello().has_our_pids()) return seen;
  auto processes = fetch_processes(run, seen.segments);
  if (!processes) return processes.error();
  seen.processes = std::move(*processes);
  return seen;
}

}  // namespace shmvisor::client
