// WayToMap: one way to have a caller map a file. Each is a file of its own: see mapping_ways.h for
// which is taken when.
//
// Errors: mmap(2)'s are no errors but what is answered. EACCES where the caller does not run what
// it should; ESRCH where it died or is no longer in the call; ENOMEM where it cannot be told, or
// for want of means. Thread rule: the thread that received the call.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/mmap_call.h"

namespace shmvisor {

struct Mapping {
  CallArguments arguments{};           ///< mmap(2)'s
  UniqueFd file;                       ///< which a way may keep
  bool caller_may_complete = false;    ///< it may map after its call was answered
  std::function<void()> goes_alone;    ///< before code runs that would end it without us
  std::optional<LentDescriptor> lent;  ///< `file` in the caller, with its number in `arguments`
};

struct MapAttempt {
  enum class Outcome : std::uint8_t {
    kAnswered,           ///< mmap(2) answered
    kCompletedByCaller,  ///< the caller will map, once its call is answered, and find the result
    kLost,               ///< another thread of the caller closed what was lent; nothing is mapped
    kNotThisWay,         ///< nothing was done that another way could not build on
  };

  Outcome outcome = Outcome::kNotThisWay;
  std::int64_t answer = 0;  ///< an address, or an errno negated

  static MapAttempt answered(std::int64_t answer) { return {Outcome::kAnswered, answer}; }
  static MapAttempt of(Outcome outcome) { return {outcome, 0}; }
};

class WayToMap {
 public:
  WayToMap() = default;
  WayToMap(const WayToMap&) = delete;
  WayToMap& operator=(const WayToMap&) = delete;
  virtual ~WayToMap() = default;

  virtual Result<MapAttempt> map(Mapping& mapping) = 0;
};

}  // namespace shmvisor
