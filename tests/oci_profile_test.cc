#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/oci/architecture.h"
#include "policy/oci/profile_merge.h"
#include "policy/oci/shm_profile.h"

namespace shmvisor {
namespace {

using Json = OrderedJson;

std::string merged(const std::string& text, const ShmProfile& wanted = {}) {
  const auto result = merge_profile(text, wanted);
  return result ? *result : "refused: " + result.error().reason;
}

Json merged_json(const std::string& text, const ShmProfile& wanted = {}) {
  const std::string result = merged(text, wanted);
  EXPECT_EQ(result, merged(result, wanted)) << "merged twice it is another";
  return Json::parse(result, nullptr, /*allow_exceptions=*/false);
}

std::string rules_of(const Json& profile) { return profile.at("syscalls").dump(); }

/// A profile for x86-64 alone, so that no rule for ipc(2) comes with it.
std::string with_rules(const std::string& rules) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],"syscalls":[)" +
         rules + "]}";
}
std::string for_i386(const std::string& rules) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO",
             "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[)" +
         rules + "]}";
}

const std::string kOurRule =
    R"({"names":["shmget","shmat","shmctl","shmdt"],"action":"SCMP_ACT_NOTIFY"})";
std::string our_ipc_rules() {
  std::string rules;
  for (const char* const subcall : {"21", "22", "23", "24"}) {
    rules += std::string(R"(,{"names":["ipc"],"action":"SCMP_ACT_NOTIFY","args":[)") +
             R"({"index":0,"value":65535,"valueTwo":)" + subcall +
             R"(,"op":"SCMP_CMP_MASKED_EQ"}]})";
  }
  return rules;
}

TEST(ShmProfile, IsWhatTheSpecificationAsksFor) {
  EXPECT_EQ(new_profile({}).dump(), R"({"defaultAction":"SCMP_ACT_ALLOW",)"
                                    R"("architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],)"
                                    R"("listenerPath":"/run/shmvisor/agent.sock","syscalls":[)" +
                                        kOurRule + our_ipc_rules() + "]}");
}

TEST(ShmProfile, HasWhatIsAskedFor) {
  const ShmProfile wanted = {.architectures = {kArchX86_64},
                             .flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
                             .listener_path = "/run/x.sock",
                             .metadata = "group=web"};
  EXPECT_EQ(new_profile(wanted).dump(),
            R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],)"
            R"("flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],)"
            R"("listenerPath":"/run/x.sock","listenerMetadata":"group=web","syscalls":[)" +
                kOurRule + "]}");
}

TEST(ShmProfile, IsForTheArchitecturesOfTheMachineUnlessOthersAreAskedFor) {
  EXPECT_EQ(new_profile({}).at("architectures").get<std::vector<std::string>>(),
            architectures_here());
  EXPECT_EQ(new_profile({.architectures = {kArchAarch64, kArchArm}}).dump(),
            R"({"defaultAction":"SCMP_ACT_ALLOW",)"
            R"("architectures":["SCMP_ARCH_AARCH64","SCMP_ARCH_ARM"],)"
            R"("listenerPath":"/run/shmvisor/agent.sock","syscalls":[)" +
                kOurRule + "]}")
      << "no ipc(2)";
}

TEST(ShmProfile, KnowsTheNamesOfFourArchitectures) {
  for (const char* const name : {"x86_64", "amd64", "SCMP_ARCH_X86_64"}) {
    EXPECT_EQ(find_architecture(name), kArchX86_64) << name;
  }
  for (const char* const name : {"i386", "x86", "SCMP_ARCH_X86"}) {
    EXPECT_EQ(find_architecture(name), kArchX86) << name;
  }
  for (const char* const name : {"aarch64", "arm64", "SCMP_ARCH_AARCH64"}) {
    EXPECT_EQ(find_architecture(name), kArchAarch64) << name;
  }
  for (const char* const name :
       {"arm", "armhf", "armel", "arm/v7", "armv7l", "armv8l", "SCMP_ARCH_ARM"}) {
    EXPECT_EQ(find_architecture(name), kArchArm) << name;
  }
  for (const char* const name : {"riscv64", "x32", "", "X86", "SCMP_ARCH_X32"}) {
    EXPECT_FALSE(find_architecture(name)) << name;
  }
}

TEST(ShmProfile, TakesPathsThatASocketCanHave) {
  EXPECT_TRUE(is_listener_path("/run/a.sock"));
  EXPECT_TRUE(is_listener_path("/" + std::string(106, 'a')));
  EXPECT_FALSE(is_listener_path("/" + std::string(107, 'a')));
  for (const char* const path : {"", "a.sock", "@abstract", "/a\nb", "/\xff"}) {
    EXPECT_FALSE(is_listener_path(path)) << path;
  }
}

TEST(MergeProfile, LeavesTheRestAsItWas) {
  const Json profile = merged_json(R"({"zebra":[1,-2.5,null],"defaultAction":"SCMP_ACT_ERRNO",
      "defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"syscalls":[
      {"action":"SCMP_ACT_ALLOW","names":["read","shmat","write"],"comment":"first"},
      {"names":["shmget","shmdt","shmctl"],"action":"SCMP_ACT_ALLOW"},
      {"names":["kill"],"action":"SCMP_ACT_ALLOW","args":null,"includes":{"minKernel":"4.8"}},
      {"names":[],"action":"SCMP_ACT_ALLOW"}],"ape":{}})");
  EXPECT_EQ(profile.dump(),
            R"({"zebra":[1,-2.5,null],"defaultAction":"SCMP_ACT_ERRNO",)"
            R"("defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"syscalls":[)"
            R"({"action":"SCMP_ACT_ALLOW","names":["read","write"],"comment":"first"},)"
            R"({"names":["kill"],"action":"SCMP_ACT_ALLOW","args":null,)"
            R"("includes":{"minKernel":"4.8"}},{"names":[],"action":"SCMP_ACT_ALLOW"},)" +
                kOurRule + R"(],"ape":{},"listenerPath":"/run/shmvisor/agent.sock"})");
}

TEST(MergeProfile, TakesOutRulesAgainstOurCalls) {
  EXPECT_EQ(rules_of(merged_json(with_rules(
                R"({"names":["shmget"],"action":"SCMP_ACT_ERRNO","errnoRet":1,
                    "args":[{"index":1,"value":4096,"op":"SCMP_CMP_GT"}]},
                   {"name":"shmat","action":"SCMP_ACT_KILL","args":[]})"))),
            "[" + kOurRule + "]");
}

TEST(MergeProfile, ReachesIntoAConfiguration) {
  const Json config =
      merged_json(R"({"ociVersion":"1.0.2","linux":{"seccomp":)" +
                  with_rules(R"({"names":["shmat","read"],"action":"SCMP_ACT_ALLOW"})") +
                  R"(,"namespaces":[{"type":"pid"}]},"hostname":"h"})");
  EXPECT_EQ(rules_of(config.at("linux").at("seccomp")),
            R"([{"names":["read"],"action":"SCMP_ACT_ALLOW"},)" + kOurRule + "]");
  EXPECT_EQ(config.at("linux").at("namespaces").dump(), R"([{"type":"pid"}])");
  EXPECT_EQ(config.at("hostname"), "h");

  for (const char* const without : {R"({"linux":{}})", R"({"linux":{"seccomp":null}})"}) {
    EXPECT_EQ(merged_json(without).at("linux").at("seccomp"), new_profile({}));
  }
}

TEST(MergeProfile, KeepsArchitecturesUnlessTheyAreAskedFor) {
  const std::string runtime_s = with_rules("");
  EXPECT_EQ(merged_json(runtime_s).at("architectures").dump(), R"(["SCMP_ARCH_X86_64"])");
  const ShmProfile both = {.architectures = {kArchX86_64, kArchX86}};
  EXPECT_EQ(merged_json(runtime_s, both).at("architectures").dump(),
            R"(["SCMP_ARCH_X86_64","SCMP_ARCH_X86"])");

  const auto map_of = [](const Json& profile) { return profile.at("archMap").dump(); };
  const std::string docker_s = R"({"defaultAction":"SCMP_ACT_ERRNO","archMap":[
      {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}]})";
  EXPECT_EQ(map_of(merged_json(docker_s)),
            R"([{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}])");
  const Json added = merged_json(docker_s, both);
  EXPECT_EQ(map_of(added),
            R"([{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]},)"
            R"({"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}])");
  EXPECT_FALSE(added.contains("architectures"));
  const std::string podman_s = R"({"defaultAction":"SCMP_ACT_ERRNO","archMap":[
      {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X32"]},
      {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":null}]})";
  EXPECT_EQ(map_of(merged_json(podman_s, {.architectures = {kArchArm, kArchX86_64}})),
            R"([{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X32"]},)"
            R"({"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}])");
  EXPECT_EQ(rules_of(added), "[" + kOurRule + our_ipc_rules() + "]");
}

TEST(MergeProfile, AddsFlagsAndReplacesMetadata) {
  const std::string profile = R"({"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"group=old",
      "flags":["SECCOMP_FILTER_FLAG_LOG"],"listenerPath":"/run/shmvisor/agent.sock"})";
  EXPECT_EQ(merged_json(profile).at("listenerMetadata"), "group=old");
  const Json changed =
      merged_json(profile, {.flags = {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"},
                            .metadata = "group=new"});
  EXPECT_EQ(changed.at("listenerMetadata"), "group=new");
  EXPECT_EQ(changed.at("flags").dump(),
            R"(["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"])");
}

TEST(MergeProfile, LeavesIpcAloneWhereI386IsNot) {
  const std::string rule = R"({"names":["ipc"],"action":"SCMP_ACT_ALLOW"})";
  EXPECT_EQ(rules_of(merged_json(with_rules(rule))), "[" + rule + "," + kOurRule + "]");
}

TEST(MergeProfile, TakesSingleSubcallsOfOursOut) {
  const auto only = [](const std::string& condition) {
    return R"({"names":["ipc"],"action":"SCMP_ACT_ALLOW","args":[)" + condition + "]}";
  };
  const std::string semop = R"({"index":0,"value":1,"valueTwo":0,"op":"SCMP_CMP_EQ"})";
  EXPECT_EQ(rules_of(merged_json(for_i386(
                only(R"({"index":0,"value":21,"op":"SCMP_CMP_EQ"})") + "," + only(semop) + "," +
                only(R"({"index":0,"value":65535,"valueTwo":24,"op":"SCMP_CMP_MASKED_EQ"})")))),
            "[" + only(semop) + "," + kOurRule + our_ipc_rules() + "]");
}

TEST(MergeProfile, RefusesWhatItCannotKeepOrUnderstand) {
  const std::string deep = std::string(70, '[') + std::string(70, ']');
  const std::string notified_read =
      with_rules(R"({"names":["read","shmat"],"action":"SCMP_ACT_NOTIFY"})");
  const std::string notified_ipc = for_i386(R"({"names":["ipc"],"action":"SCMP_ACT_NOTIFY"})");
  const auto ipc_with = [](const std::string& conditions) {
    return for_i386(R"({"names":["ipc"],"action":"SCMP_ACT_ALLOW","args":[)" + conditions + "]}");
  };
  const std::string above = ipc_with(R"({"index":0,"value":20,"op":"SCMP_CMP_GT"})");
  const std::string half =
      ipc_with(R"({"index":0,"value":1,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"})");
  const std::string condition = R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"})";
  const std::string twice = ipc_with(condition + "," + condition);
  const std::string unclear =
      "a rule for ipc compares its first argument so that the shm sub-calls cannot be told from "
      "the others";
  const std::string unanswered = "it notifies of other calls, which the agent would not answer";
  const std::string neither =
      R"(it is neither a seccomp profile, with a "defaultAction", nor a config.json, with "linux")";
  const std::vector<std::pair<std::string, std::string>> refusals = {
      {"", "it is no JSON"},
      {"{", "it is no JSON"},
      {"{} {}", "it is no JSON"},
      {"\"\xff\"", "it is no JSON"},
      {deep, "it is nested too deep"},
      {"[]", "it is no JSON object"},
      {"{}", neither},
      {R"({"linux":[]})", neither},
      {R"({"linux":{"seccomp":[]}})", R"(its "seccomp" is malformed)"},
      {R"({"linux":{"seccomp":{}}})", R"(its "defaultAction" is malformed)"},
      {R"({"a":1,"b":{"c":1,"d":2,"c":3}})", R"(it has "c" twice in an object)"},
      {R"({"\u001b[1m":1,"\u001b[1m":2})", R"(it has "\u001b[1m" twice in an object)"},
      {R"({"defaultAction":7})", R"(its "defaultAction" is malformed)"},
      {R"({"defaultAction":"","architectures":"x"})", R"(its "architectures" is malformed)"},
      {R"({"defaultAction":"","flags":[1]})", R"(its "flags" is malformed)"},
      {R"({"defaultAction":"","listenerMetadata":{}})", R"(its "listenerMetadata" is malformed)"},
      {R"({"defaultAction":"","archMap":[{}]})", R"(its "archMap" is malformed)"},
      {R"({"defaultAction":"","syscalls":{}})", R"(its "syscalls" is malformed)"},
      {with_rules("[]"), R"(its "syscalls" is malformed)"},
      {with_rules(R"({"names":["read"]})"), R"(its "syscalls" is malformed)"},
      {with_rules(R"({"names":"read","action":""})"), R"(its "syscalls" is malformed)"},
      {with_rules(R"({"names":["read"],"action":"","args":[{"index":-1,"op":""}]})"),
       R"(its "syscalls" is malformed)"},
      {with_rules(R"({"name":"read","names":["write"],"action":""})"),
       R"(a rule has both "name" and "names")"},
      {R"({"defaultAction":"SCMP_ACT_NOTIFY"})", "it notifies of all calls"},
      {R"({"defaultAction":"","listenerPath":"/other"})",
       R"(it has another listener, "/other", and a container can have one only)"},
      {R"({"defaultAction":"","architectures":["a"],"archMap":[{"architecture":"a"}]})",
       R"(it has both "architectures" and "archMap")"},
      {notified_read, unanswered},
      {notified_ipc, unanswered},
      {above, unclear},
      {half, unclear},
      {twice, unclear},
  };
  for (const auto& [text, reason] : refusals) EXPECT_EQ(merged(text), "refused: " + reason) << text;
}

}  // namespace
}  // namespace shmvisor
