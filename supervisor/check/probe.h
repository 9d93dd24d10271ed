// Probe: one thing that shmvisor uses, and a test of whether it is there.
//
// A probe tries the thing rather than asking for a version. It may change the state of a forked
// child, never of its caller, and leaves no process, descriptor or file.
// Errors: none; a failure is the finding. Every wait is bounded.
// Thread rule: forks, so call from a program's only thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

struct Finding {
  enum class State {
    kYes,
    kNo,
    kSwitchedOff,  // by --without; not probed
    kNote,         // neither good nor bad, only to be known
  };

  State state = State::kNo;
  /// kNo: why. kNote: the value. kYes: details, if any.
  std::string detail;
  /// What the finding means for shmvisor; empty where Probe::otherwise says it, or nothing has to
  /// be said.
  std::string meaning;

  static Finding yes(std::string detail = {}) { return {State::kYes, std::move(detail), {}}; }
  static Finding no(std::string reason) { return {State::kNo, std::move(reason), {}}; }
  /// Not there: `step` failed with `error`.
  static Finding no(const std::string& step, Errno error);
  static Finding note(std::string value, std::string meaning) {
    return {State::kNote, std::move(value), std::move(meaning)};
  }

  friend bool operator==(const Finding&, const Finding&) = default;
};

struct Probe {
  enum class Need { kOptional, kFatal };

  std::string name;
  std::function<Finding()> run;
  /// Where it is missing: what is used instead, or, if that is fatal, why there is no other way.
  std::string otherwise;
  Need need = Need::kOptional;
  /// The feature that `--without` switches off, where there is one.
  std::optional<KernelFeature> feature = std::nullopt;
};

/// A probe of a feature that can be switched off; its name is the feature's.
Probe feature_probe(KernelFeature feature, std::function<Finding()> run, std::string otherwise);

}  // namespace shmvisor
