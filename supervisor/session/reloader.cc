#include "supervisor/session/reloader.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "supervisor/audit/process_audit.h"

namespace shmvisor {
namespace {

SteeringUpdate failed(SteeringUpdate::Shortage shortage, const char* problem) {
  SteeringUpdate update;
  update.shortage = shortage;
  update.problems.emplace_back(problem);
  return update;
}

}  // namespace

Reloader::Reloader(EventLoop& loop, ReadSteering read, Apply apply)
    : loop_(loop),
      read_(std::move(read)),
      apply_(std::move(apply)),
      begin_(loop.timer([this] { begin(); })),
      task_(loop, [this](std::optional<SteeringUpdate>& update) { finish(update); }) {}

Reloader::Reading Reloader::ask() {
  wanted_ = true;
  if (task_.under_way()) return done_ + 2;
  begin_.set_by(EventLoop::Clock::now());
  return done_ + 1;
}

void Reloader::begin() {
  if (!wanted_ || over_ || task_.under_way()) return;
  const auto begun = task_.begin([read = read_] {
    SteeringUpdate update = read();
    // Reading may have taken much memory, which nothing else would give back.
    (void)::malloc_trim(0);
    return update;
  });
  if (begun) {
    wanted_ = false;
    return;
  }
  const auto update =
      failed(SteeringUpdate::Shortage::kThreads, "no thread can be created to read it; ask again");
  wanted_ = false;
  conclude(update);
}

void Reloader::finish(std::optional<SteeringUpdate>& update) {
  if (!update) {
    update = failed(SteeringUpdate::Shortage::kMemory, "there is no memory to read it; ask again");
  }
  if (update->problems.empty()) apply_(update->steering);
  conclude(*update);
}

void Reloader::conclude(const SteeringUpdate& update) {
  for (const std::string& problem : update.problems) {
    spdlog::warn("the configuration stays as it was: {}", problem);
  }
  if (update.problems.empty()) spdlog::info("the configuration that was read is in force");
  audit(AuditLog::kNobody, [&] {
    AuditRecord record("reload");
    const bool good = update.problems.empty();
    record.add("result", good ? "ok" : "unchanged");
    if (!good) record.add("because", update.problems.front());
    if (good) record.add("rules", update.steering.rule_count());
    return record;
  });
  ++done_;
  if (wanted_) begin_.set_by(EventLoop::Clock::now());
  if (told_) told_(done_, update);
}

void Reloader::read_at_once(std::chrono::milliseconds bound) {
  const Reading reading = ask();
  (void)loop_.run_while([&] { return done_ < reading; }, EventLoop::Clock::now() + bound);
}

bool Reloader::wait_for_end(std::chrono::milliseconds bound) {
  over_ = true;
  return task_.wait_for_end(bound);
}

}  // namespace shmvisor
