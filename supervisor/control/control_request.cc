#include "supervisor/control/control_request.h"

#include <array>
#include <cstdlib>
#include <set>
#include <utility>

#include "policy/limits/limits.h"
#include "policy/oci/strict_json.h"
#include "supervisor/keeper/kept_upgrade.h"

namespace shmvisor {
namespace {

using control::Json;
using control::Refusal;

/// Takes the members of a request one after another, and remembers the first that does not fit.
class Members {
 public:
  explicit Members(const Json& request) : request_(request) {}

  /// Empty where it is missing.
  std::string text(const char* name) {
    const auto found = take(name);
    if (found == request_.end()) return {};
    if (!found->is_string()) blame(name, "a string");
    return found->is_string() ? found->get<std::string>() : std::string();
  }

  std::optional<std::uint64_t> number(const char* name, std::uint64_t most) {
    const auto found = take(name);
    if (found == request_.end()) return std::nullopt;
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() > most) {
      blame(name, "a number from 0 to " + std::to_string(most));
      return std::nullopt;
    }
    return found->get<std::uint64_t>();
  }

  std::uint64_t needed_number(const char* name, std::uint64_t most) {
    if (request_.find(name) == request_.end()) blame(name, "there");
    return number(name, most).value_or(0);
  }

  /// Permission bits in octal digits, as replies have them: "0640".
  mode_t mode(const char* name) {
    constexpr unsigned long kMost = 0777;
    const std::string digits = text(name);
    const bool is_octal = !digits.empty() && digits.size() <= 4 &&
                          digits.find_first_not_of("01234567") == digits.npos;
    const unsigned long bits = is_octal ? std::strtoul(digits.c_str(), nullptr, 8) : kMost + 1;
    if (bits > kMost) blame(name, "a mode as \"0640\"");
    return static_cast<mode_t>(bits & kMost);
  }

  AccessGives access_gives(const char* name) {
    const std::string signal = text(name);
    if (signal == "SIGBUS") return AccessGives::kSigbus;
    if (signal != "SIGSEGV") blame(name, "SIGSEGV or SIGBUS");
    return AccessGives::kSigsegv;
  }

  /// Absolute; empty where it is missing.
  std::string path(const char* name) {
    if (take(name) == request_.end()) return {};
    std::string path = text(name);
    if (!path.starts_with('/') || path.size() >= KeptUpgrade::kTextBytes) {
      blame(name, "an absolute path");
    }
    return path;
  }

  /// Nothing where it is missing. `Place`: RegistryPlace or SegmentPlace.
  template <typename Place = RegistryPlace>
  std::optional<Place> place(const char* name) {
    if (take(name) == request_.end()) return std::nullopt;
    auto place = Place::parse(text(name));
    if (!place) blame(name, "what a reply had as next");
    return place;
  }

  /// Nothing where all members were taken and did fit.
  [[nodiscard]] std::optional<Refusal> trouble() const {
    if (trouble_) return trouble_;
    for (const auto& [name, value] : request_.items()) {
      if (!taken_.contains(name)) return Refusal{"bad-request", "it has no member '" + name + "'"};
    }
    return std::nullopt;
  }

 private:
  Json::const_iterator take(const char* name) {
    taken_.insert(name);
    return request_.find(name);
  }
  void blame(const char* name, const std::string& wanted) {
    if (!trouble_) trouble_ = Refusal{"bad-request", std::string(name) + " is not " + wanted};
  }

  const Json& request_;
  std::set<std::string> taken_;
  std::optional<Refusal> trouble_;
};

ControlRequest list_registries(Members& members) { return ListRegistries{members.place("after")}; }

ControlRequest list_segments(Members& members) {
  constexpr std::uint64_t kMostIndex = 32768;  // behind the last, IdSpace::kMaxIds
  if (auto from = members.place<SegmentPlace>("after")) return ListAllSegments{std::move(*from)};
  ListSegments request;
  request.registry = members.text("registry");
  request.from_index = static_cast<int>(members.number("from", kMostIndex).value_or(0));
  return request;
}

ControlRequest list_processes(Members& members) { return ListProcesses{members.place("after")}; }

ControlRequest follow_calls(Members& /*members*/) { return FollowCalls(); }

ControlRequest remove_one(Members& members) {
  RemoveOneSegment request;
  request.registry = members.text("registry");
  request.shmid = static_cast<int>(members.needed_number("shmid", INT32_MAX));
  return request;
}

ControlRequest set_limits(Members& members) {
  SetLimits request;
  request.registry = members.text("registry");
  request.limits.shmmax = members.number("shmmax", UINT64_MAX);
  request.limits.shmall = members.number("shmall", UINT64_MAX);
  if (const auto shmmni = members.number("shmmni", Limits::ipcmni)) {
    request.limits.shmmni = static_cast<std::uint32_t>(*shmmni);
  }
  return request;
}

ControlRequest open_segment(Members& members) {
  OpenSegment request;
  request.registry = members.text("registry");
  request.shmid = static_cast<int>(members.needed_number("shmid", INT32_MAX));
  return request;
}

ControlRequest take_a_snapshot(Members& members) { return TakeSnapshot{members.text("registry")}; }

ControlRequest allocate_segment(Members& members) {
  constexpr std::uint64_t kMostId = UINT32_MAX - 1;  // -1 is nobody
  AllocateSegment request;
  request.registry = members.text("registry");
  request.key = static_cast<std::uint32_t>(members.number("key", UINT32_MAX).value_or(0));
  request.size_bytes = members.needed_number("size", UINT64_MAX);
  request.mode = members.mode("mode");
  if (const auto uid = members.number("uid", kMostId)) request.uid = static_cast<uid_t>(*uid);
  if (const auto gid = members.number("gid", kMostId)) request.gid = static_cast<gid_t>(*gid);
  return request;
}

ControlRequest insert_allocated(Members& /*members*/) { return InsertAllocated(); }

ControlRequest detach_segment(Members& members) {
  DetachSegment request;
  request.registry = members.text("registry");
  request.shmid = static_cast<int>(members.needed_number("shmid", INT32_MAX));
  if (const auto pid = members.number("pid", INT32_MAX)) request.pid = static_cast<pid_t>(*pid);
  request.gives = members.access_gives("gives");
  return request;
}

ControlRequest still_there(Members& /*members*/) { return StillThere(); }

ControlRequest report(Members& /*members*/) { return Report(); }

ControlRequest counters(Members& members) { return Counters{members.place("after")}; }

ControlRequest reload(Members& /*members*/) { return Reload(); }

ControlRequest upgrade(Members& members) { return Upgrade{members.path("program")}; }

struct Known {
  const char* name;
  ControlRequest (*parse)(Members&);
};
constexpr std::array kKnown = {Known{"registries", list_registries},
                               Known{"segments", list_segments},
                               Known{"processes", list_processes},
                               Known{"follow", follow_calls},
                               Known{"remove", remove_one},
                               Known{"set", set_limits},
                               Known{"reload", reload},
                               Known{"open", open_segment},
                               Known{"snapshot", take_a_snapshot},
                               Known{"allocate", allocate_segment},
                               Known{"insert", insert_allocated},
                               Known{"still-there", still_there},
                               Known{"detach", detach_segment},
                               Known{"report", report},
                               Known{"counters", counters},
                               Known{"upgrade", upgrade}};

}  // namespace

Result<ControlRequest, Refusal> parse_control_request(std::string_view line) {
  // The parser passes over a byte order mark, and takes NUL for an end.
  if (line.starts_with("\xEF\xBB\xBF") || line.find('\0') != std::string_view::npos) {
    return Refusal{"bad-request", "the line is not one JSON object"};
  }
  const Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return Refusal{"bad-request", "the line is not one JSON object"};
  // A reader that takes the first of two and one that takes the last would carry out other
  // requests.
  if (const auto strict = parse_strict_json(line); !strict) {
    return Refusal{"bad-request", strict.error().reason};
  }
  Members members(parsed);
  const auto word = parsed.find("request");
  if (word != parsed.end() && !word->is_string()) {
    return Refusal{"bad-request", "request is not a string"};
  }
  const std::string name = members.text("request");
  for (const Known& known : kKnown) {
    if (name != known.name) continue;
    ControlRequest request = known.parse(members);
    if (auto trouble = members.trouble()) return std::move(*trouble);
    return request;
  }
  return Refusal{"unknown-request", "there is no request '" + name + "'"};
}

}  // namespace shmvisor
