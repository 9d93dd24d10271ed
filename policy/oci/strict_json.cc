#include "policy/oci/strict_json.h"

#include <set>
#include <utility>
#include <vector>

namespace shmvisor {

Result<OrderedJson, BadJson> parse_strict_json(std::string_view text) {
  std::vector<std::set<std::string>> names;  // of each object that is open
  std::string trouble;
  const auto look = [&](int depth, OrderedJson::parse_event_t event, OrderedJson& parsed) {
    using Event = OrderedJson::parse_event_t;
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (!names.back().insert(name).second) {
        trouble = "it has " + parsed.dump(-1, ' ', true) + " twice in an object";
      }
    }
    if (depth > kDeepestJson) trouble = "it is nested too deep";
    return depth <= kDeepestJson;  // otherwise nothing of it is kept
  };
  OrderedJson value =
      OrderedJson::parse(text.begin(), text.end(), look, /*allow_exceptions=*/false);
  if (!trouble.empty()) return BadJson{std::move(trouble)};
  if (value.is_discarded()) return BadJson{"it is no JSON"};
  return value;
}

}  // namespace shmvisor
