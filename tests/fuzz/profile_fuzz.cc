// Seccomp profiles that operators keep, of whatever origin.
#include <cstdio>
#include <cstdlib>

#include "policy/oci/architecture.h"
#include "policy/oci/profile_merge.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

/// The object with the rules, wherever it is.
const OrderedJson& profile_in(const OrderedJson& document) {
  return document.contains("defaultAction") ? document : document.at("linux").at("seccomp");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  ShmProfile wanted;
  if (input.one_of({false, true})) wanted.architectures = {kArchX86_64, kArchX86};
  if (input.one_of({false, true})) wanted.architectures.emplace_back(kArchArm);
  if (input.one_of({false, true})) wanted.metadata = "group=web";
  const auto merged = merge_profile(input.take_rest(), wanted);
  if (!merged) {
    FUZZ_EXPECT(!merged.error().reason.empty());
    return 0;
  }
  const std::string& text = *merged;
  const auto again = merge_profile(text, wanted);
  FUZZ_EXPECT(again.ok());
  FUZZ_EXPECT(*again == text);

  const OrderedJson document = OrderedJson::parse(text);
  const OrderedJson& profile = profile_in(document);
  FUZZ_EXPECT(profile.at("listenerPath") == wanted.listener_path);
  FUZZ_EXPECT(!profile.at("syscalls").empty());
  const OrderedJson ours = shm_rules(/*i386=*/false).front();
  bool found = false;
  for (const OrderedJson& rule : profile.at("syscalls")) found = found || rule == ours;
  FUZZ_EXPECT(found);
  return 0;
}
