#include "policy/oci/profile_merge.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "policy/filter/notified_calls.h"
#include "policy/oci/architecture.h"

namespace shmvisor {
namespace {

using Json = OrderedJson;

using Merged = Result<void, BadProfile>;

/// The member of that name; null where there is none.
const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

bool is_list(const Json& json, bool (*is_element)(const Json&)) {
  return json.is_null() || (json.is_array() && std::all_of(json.begin(), json.end(), is_element));
}
bool is_string(const Json& json) { return json.is_string(); }
bool is_string_or_null(const Json& json) { return json.is_null() || json.is_string(); }
bool is_unsigned_or_null(const Json& json) { return json.is_null() || json.is_number_unsigned(); }

bool is_condition(const Json& json) {
  return json.is_object() && is_unsigned_or_null(member(json, "index")) &&
         is_unsigned_or_null(member(json, "value")) &&
         is_unsigned_or_null(member(json, "valueTwo")) && member(json, "op").is_string();
}

bool is_rule(const Json& json) {
  return json.is_object() && member(json, "action").is_string() &&
         is_string_or_null(member(json, "name")) && is_list(member(json, "names"), is_string) &&
         is_list(member(json, "args"), is_condition);
}

bool is_arch_map_entry(const Json& json) {
  return json.is_object() && member(json, "architecture").is_string() &&
         is_list(member(json, "subArchitectures"), is_string);
}

Merged check_types(const Json& profile) {
  const auto wrong = [](const char* name) {
    return BadProfile{"its \"" + std::string(name) + "\" is malformed"};
  };
  if (!member(profile, "defaultAction").is_string()) return wrong("defaultAction");
  for (const char* const name : {"listenerPath", "listenerMetadata"}) {
    if (!is_string_or_null(member(profile, name))) return wrong(name);
  }
  for (const char* const name : {"architectures", "flags"}) {
    if (!is_list(member(profile, name), is_string)) return wrong(name);
  }
  if (!is_list(member(profile, "archMap"), is_arch_map_entry)) return wrong("archMap");
  if (!is_list(member(profile, "syscalls"), is_rule)) return wrong("syscalls");
  return {};
}

bool contains(const Json& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [&](const Json& one) { return one == text; });
}

/// Appends what is not there yet; `list` may be null.
void append(Json& list, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (!contains(list, text)) list.push_back(text);
  }
}

/// Docker's and podman's way to say it: what goes with the native architecture of a family.
Json* entry_of(const ArchitectureFamily& family, Json& profile) {
  const auto map = profile.find("archMap");
  if (map == profile.end()) return nullptr;
  const auto found = std::find_if(map->begin(), map->end(), [&](const Json& entry) {
    return member(entry, "architecture") == family.native;
  });
  return found == map->end() ? nullptr : &*found;
}

void add_architectures(Json& profile, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return;
  if (member(profile, "archMap").empty()) return append(profile["architectures"], wanted);
  for (const ArchitectureFamily& family : kArchitectureFamilies) {
    const bool narrow = std::ranges::find(wanted, family.narrow) != wanted.end();
    if (!narrow && std::ranges::find(wanted, family.native) == wanted.end()) continue;
    if (entry_of(family, profile) == nullptr) {
      profile["archMap"].push_back(
          {{"architecture", family.native}, {"subArchitectures", nullptr}});
    }
    if (narrow) append((*entry_of(family, profile))["subArchitectures"], {family.narrow});
  }
}

/// Whether i386 calls come to its rules at all; otherwise ipc(2) does not exist: 32-bit Arm has it
/// in an ABI only that no kernel of 64 bits knows.
bool is_for_i386(Json& profile) {
  if (contains(member(profile, "architectures"), kArchX86)) return true;
  const Json* const entry = entry_of(kX86Family, profile);
  return entry != nullptr && contains(member(*entry, "subArchitectures"), kArchX86);
}

bool is_shm_call(const Json& name) {
  return std::ranges::any_of(kShmCalls, [&](const char* call) { return name == call; });
}

struct Masked {
  std::uint64_t mask = 0;
  std::uint64_t value = 0;

  [[nodiscard]] bool may_hold_for(std::uint32_t subcall) const {
    return ((subcall ^ value) & mask & ipc_subcall::kMask) == 0;
  }
  [[nodiscard]] bool may_hold_for_ours() const {
    return std::ranges::any_of(kShmIpcSubcalls, [this](auto one) { return may_hold_for(one); });
  }
  [[nodiscard]] bool looks_at_all_of_it() const {
    return (mask & ipc_subcall::kMask) == ipc_subcall::kMask;
  }
};

/// Comparisons of which exactly one holds for each sub-call that `within` holds for and that is
/// none of ours.
void add_others(Masked within, std::vector<Masked>& others) {
  if (!within.may_hold_for_ours()) return others.push_back(within);
  if (within.looks_at_all_of_it()) return;
  const std::uint64_t bit = std::bit_floor(ipc_subcall::kMask & ~within.mask);
  add_others({within.mask | bit, within.value}, others);
  add_others({within.mask | bit, within.value | bit}, others);
}

/// What becomes of a rule for ipc(2), by its condition on the sub-call.
enum class IpcFate : std::uint8_t { kStays, kGoes, kIsSplit, kIsUnclear };

IpcFate fate_of_ipc(const Json& rule) {
  const Json* condition = nullptr;
  for (const Json& one : member(rule, "args")) {
    if (!member(one, "index").is_null() && member(one, "index") != 0) continue;
    if (condition != nullptr) return IpcFate::kIsUnclear;
    condition = &one;
  }
  if (condition == nullptr) return IpcFate::kIsSplit;
  const auto number = [&](const char* name) {
    const Json& json = member(*condition, name);
    return json.is_null() ? 0 : json.get<std::uint64_t>();
  };
  Masked comparison;
  if (member(*condition, "op") == "SCMP_CMP_EQ") {
    comparison = {~std::uint64_t{0}, number("value")};
  } else if (member(*condition, "op") == "SCMP_CMP_MASKED_EQ") {
    comparison = {number("value"), number("valueTwo")};
  } else {
    return IpcFate::kIsUnclear;
  }
  if (!comparison.may_hold_for_ours()) return IpcFate::kStays;
  return comparison.looks_at_all_of_it() ? IpcFate::kGoes : IpcFate::kIsUnclear;
}

/// `rule` for ipc(2) alone, as many times as it takes to leave our sub-calls out.
void add_split(const Json& rule, Json& rules) {
  std::vector<Masked> others;
  add_others({}, others);
  for (const Masked& other : others) {
    Json one = rule;
    if (!member(rule, "names").empty()) one["names"] = Json::array({kIpcCall});
    one["args"].push_back(masked_condition(static_cast<std::uint32_t>(other.mask),
                                           static_cast<std::uint32_t>(other.value)));
    rules.push_back(std::move(one));
  }
}

/// Appends to `rules` what is left of `rule`.
Merged add_without_ours(const Json& rule, bool i386, Json& rules) {
  // An old way to write names, of one only.
  const bool has_name = member(rule, "name") != nullptr && member(rule, "name") != "";
  const Json& list = member(rule, "names");
  if (has_name && !list.empty()) return BadProfile{"a rule has both \"name\" and \"names\""};
  const Json names = has_name ? Json::array({member(rule, "name")}) : list;

  const bool names_ipc = i386 && contains(names, kIpcCall);
  const IpcFate fate = names_ipc ? fate_of_ipc(rule) : IpcFate::kStays;
  if (fate == IpcFate::kIsUnclear) {
    return BadProfile{
        "a rule for ipc compares its first argument so that the shm sub-calls cannot be told "
        "from the others"};
  }
  Json left = Json::array();
  for (const Json& name : names) {
    if (is_shm_call(name) || (fate != IpcFate::kStays && name == kIpcCall)) continue;
    left.push_back(name);
  }
  const bool notifies = member(rule, "action") == kActNotify;
  if (notifies && (!left.empty() || fate == IpcFate::kIsSplit)) {
    return BadProfile{"it notifies of other calls, which the agent would not answer"};
  }
  if (left == names) {
    rules.push_back(rule);
  } else if (!left.empty()) {
    rules.push_back(rule);
    rules.back()["names"] = std::move(left);
  }
  if (fate == IpcFate::kIsSplit) add_split(rule, rules);
  return {};
}

Merged merge_rules(Json& profile) {
  const bool i386 = is_for_i386(profile);
  Json rules = Json::array();
  for (const Json& rule : member(profile, "syscalls")) {
    if (auto added = add_without_ours(rule, i386, rules); !added) return added;
  }
  for (Json& rule : shm_rules(i386)) rules.push_back(std::move(rule));
  profile["syscalls"] = std::move(rules);
  return {};
}

Merged merge_into_profile(Json& profile, const ShmProfile& wanted) {
  if (auto checked = check_types(profile); !checked) return checked;
  const Json& listener = member(profile, "listenerPath");
  if (listener != nullptr && listener != "" && listener != wanted.listener_path) {
    return BadProfile{"it has another listener, " + listener.dump(-1, ' ', true) +
                      ", and a container can have one only"};
  }
  if (member(profile, "defaultAction") == kActNotify) return BadProfile{"it notifies of all calls"};
  if (!member(profile, "architectures").empty() && !member(profile, "archMap").empty()) {
    return BadProfile{"it has both \"architectures\" and \"archMap\""};
  }
  add_architectures(profile, wanted.architectures);
  if (!wanted.flags.empty()) append(profile["flags"], wanted.flags);
  profile["listenerPath"] = wanted.listener_path;
  if (wanted.metadata) profile["listenerMetadata"] = *wanted.metadata;
  return merge_rules(profile);
}

Merged merge_into_document(Json& document, const ShmProfile& wanted) {
  if (!document.is_object()) return BadProfile{"it is no JSON object"};
  if (document.contains("defaultAction")) return merge_into_profile(document, wanted);
  const auto linux_part = document.find("linux");
  if (linux_part == document.end() || !linux_part->is_object()) {
    return BadProfile{
        "it is neither a seccomp profile, with a \"defaultAction\", nor a config.json, with "
        "\"linux\""};
  }
  Json& profile = (*linux_part)["seccomp"];
  if (profile.is_object()) return merge_into_profile(profile, wanted);
  if (!profile.is_null()) return BadProfile{"its \"seccomp\" is malformed"};
  profile = new_profile(wanted);
  return {};
}

}  // namespace

Result<std::string, BadProfile> merge_profile(std::string_view text, const ShmProfile& wanted) {
  auto document = parse_strict_json(text);
  if (!document) return BadProfile{document.error().reason};
  if (const auto merged = merge_into_document(*document, wanted); !merged) return merged.error();
  return to_text(*document);
}

}  // namespace shmvisor
