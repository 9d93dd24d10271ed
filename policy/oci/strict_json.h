// JSON as operators write it into profiles, with its order, and with what parsers usually let pass
// refused: a name given twice in an object, where each reader would take another one of the two.
//
// Thread rule: any thread, no shared state.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "policy/base/result.h"

namespace shmvisor {

using OrderedJson = nlohmann::ordered_json;

/// Most objects and lists around anything.
constexpr int kDeepestJson = 64;

/// One clause.
struct BadJson {
  std::string reason;
};

Result<OrderedJson, BadJson> parse_strict_json(std::string_view text);

}  // namespace shmvisor
