#include "supervisor/attaches/shared_counts.h"

#include <utility>

namespace shmvisor {

/// One count that is going on: lets the mutex go while it lives. To clang's analysis, as to a
/// caller, the mutex is held before and after.
class SharedCounts::Turn {
 public:
  Turn(SharedCounts& counts, std::shared_ptr<Crowd> crowd) NO_THREAD_SAFETY_ANALYSIS
      : counts_(counts),
        crowd_(std::move(crowd)) {
    if (crowd_ != nullptr) {
      crowd_->began = true;
      counts_.waiting_.reset();
    }
    ++counts_.going_on_;
    counts_.last_began_ = Clock::now();
    counts_.mutex_.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  /// The crowd's result at the end of the turn; with the mutex held, since the crowd may look at
  /// any time.
  void tell(Result<MappingCounts> counted) { counted_ = std::move(counted); }
  ~Turn() NO_THREAD_SAFETY_ANALYSIS {
    counts_.mutex_.lock();
    --counts_.going_on_;
    if (crowd_ != nullptr) {
      crowd_->result.emplace(std::move(counted_));
      crowd_->changed.notify_all();
    }
    if (counts_.waiting_ != nullptr) counts_.waiting_->changed.notify_one();
  }

 private:
  SharedCounts& counts_;
  const std::shared_ptr<Crowd> crowd_;
  Result<MappingCounts> counted_ = Errno(ENOMEM);  ///< where the count ends by an exception
};

bool SharedCounts::may_begin() const {
  return going_on_ < bounds_.quick ||
         (going_on_ < bounds_.most && Clock::now() - last_began_ >= kLong);
}

void SharedCounts::make(const std::shared_ptr<Crowd>& crowd) {
  Turn turn(*this, crowd);
  turn.tell(count_(crowd->files));
}

std::vector<std::size_t> SharedCounts::Crowd::add(std::span<const FileIdentity> asked) {
  std::vector<std::size_t> places_of_asked;
  places_of_asked.reserve(asked.size());
  for (const FileIdentity& file : asked) {
    auto place = places.find(file);
    if (place == places.end()) {
      // First the file: where memory runs out in between, no place leads to another file.
      files.push_back(file);
      place = places.emplace(file, files.size() - 1).first;
    }
    places_of_asked.push_back(place->second);
  }
  return places_of_asked;
}

Result<MappingCounts> SharedCounts::of(std::span<const FileIdentity> files) {
  MutexLock lock(mutex_);
  if (waiting_ == nullptr && may_begin()) {
    const Turn turn(*this, nullptr);
    return count_(files);
  }
  if (waiting_ == nullptr) waiting_ = std::make_shared<Crowd>();
  const std::shared_ptr<Crowd> crowd = waiting_;
  const std::vector<std::size_t> places = crowd->add(files);
  while (!crowd->result) {
    if (!crowd->began && may_begin()) {
      make(crowd);
    } else if (!crowd->began && going_on_ < bounds_.most) {
      (void)crowd->changed.wait_until(mutex_, last_began_ + kLong);
    } else {
      crowd->changed.wait(mutex_);
    }
  }
  lock.unlock();
  const Result<MappingCounts>& all = *crowd->result;
  if (!all) return all.error();
  MappingCounts counts;
  counts.complete = all->complete;
  counts.of_files.reserve(places.size());
  for (const std::size_t place : places) counts.of_files.push_back(all->of_files[place]);
  if (all->last_known.empty()) return counts;
  // A file may have been asked for twice.
  std::unordered_multimap<std::size_t, std::size_t> asked_at;
  for (std::size_t at = 0; at < places.size(); ++at) asked_at.emplace(places[at], at);
  for (const MappingCounts::LastKnown& one : all->last_known) {
    MappingCounts::LastKnown its{one.pid, {}};
    for (const auto& [place, mappings] : one.mapped) {
      const auto [first, last] = asked_at.equal_range(place);
      for (auto at = first; at != last; ++at) its.mapped.push_back({at->second, mappings});
    }
    counts.last_known.push_back(std::move(its));
  }
  return counts;
}

}  // namespace shmvisor
