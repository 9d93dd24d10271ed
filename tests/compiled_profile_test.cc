// Profiles made into filters, as runtimes do it, and these run on a BPF machine.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "emulation/abi/call_numbers.h"
#include "policy/base/unique_fd.h"
#include "policy/oci/architecture.h"
#include "policy/oci/profile_merge.h"
#include "policy/oci/shm_profile.h"
#include "tests/bpf_machine.h"

namespace shmvisor {
namespace {

using Json = OrderedJson;

Json merged_json(const std::string& text) {
  const auto merged = merge_profile(text, {});
  EXPECT_TRUE(merged) << text;
  return merged ? Json::parse(*merged) : Json();
}

std::string for_i386(const std::string& rules) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO",
             "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[)" +
         rules + "]}";
}

struct ReleaseContext {
  void operator()(scmp_filter_ctx context) const { seccomp_release(context); }
};

std::uint32_t action_of(const std::string& name) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  return name == "SCMP_ACT_NOTIFY" ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM);
}

scmp_arg_cmp comparison_of(const Json& condition) {
  const bool masked = condition.at("op") == "SCMP_CMP_MASKED_EQ";
  return {condition.at("index").get<unsigned>(), masked ? SCMP_CMP_MASKED_EQ : SCMP_CMP_EQ,
          condition.at("value").get<scmp_datum_t>(), condition.value("valueTwo", scmp_datum_t{0})};
}

void add_rules(scmp_filter_ctx context, const Json& profile) {
  for (const Json& rule : profile.at("syscalls")) {
    std::vector<scmp_arg_cmp> comparisons;
    for (const Json& condition : rule.value("args", Json::array())) {
      comparisons.push_back(comparison_of(condition));
    }
    for (const Json& name : rule.at("names")) {
      EXPECT_EQ(0, seccomp_rule_add_array(
                       context, action_of(rule.at("action").get<std::string>()),
                       seccomp_syscall_resolve_name(name.get_ref<const std::string&>().c_str()),
                       static_cast<unsigned>(comparisons.size()), comparisons.data()))
          << rule.dump();
    }
  }
}

/// libseccomp's number of SCMP_ARCH_*, as crun finds it.
std::uint32_t token_of(std::string name) {
  constexpr std::string_view kPrefix = "SCMP_ARCH_";
  EXPECT_TRUE(name.starts_with(kPrefix)) << name;
  name.erase(0, kPrefix.size());
  std::ranges::transform(name, name.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  const std::uint32_t token = seccomp_arch_resolve_name(name.c_str());
  EXPECT_NE(token, 0U) << name;
  return token;
}

/// Those that Docker or podman asks a runtime for on a machine of `family`.
std::vector<std::string> architectures_of(const Json& profile, const ArchitectureFamily& family) {
  auto names = profile.value("architectures", std::vector<std::string>());
  for (const Json& entry : profile.value("archMap", Json::array())) {
    if (entry.at("architecture") != family.native) continue;
    names.emplace_back(family.native);
    for (const Json& narrow : entry.at("subArchitectures")) names.push_back(narrow);
  }
  return names;
}

/// crun's and runc's way from "architectures" and "syscalls" to a program, on a machine of
/// `family`, whichever this one is.
std::vector<sock_filter> compiled(const Json& profile,
                                  const ArchitectureFamily& family = kX86Family) {
  const std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseContext> context(
      seccomp_init(action_of(profile.at("defaultAction").get<std::string>())));
  if (token_of(family.native) != seccomp_arch_native()) {
    EXPECT_EQ(0, seccomp_arch_add(context.get(), token_of(family.native)));
    EXPECT_EQ(0, seccomp_arch_remove(context.get(), seccomp_arch_native()));
  }
  for (const std::string& name : architectures_of(profile, family)) {
    const int status = seccomp_arch_add(context.get(), token_of(name));
    EXPECT_TRUE(status == 0 || status == -EEXIST) << name << ": " << status;
  }
  add_rules(context.get(), profile);
  const UniqueFd file(::memfd_create("profile", MFD_CLOEXEC));
  EXPECT_EQ(0, seccomp_export_bpf(context.get(), file.get()));
  std::vector<sock_filter> program(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)) /
                                   sizeof(sock_filter));
  EXPECT_GT(::pread(file.get(), program.data(), program.size() * sizeof(sock_filter), 0), 0);
  return program;
}

/// What the program answers to ipc(2) of i386, or to a call of `architecture`.
std::uint32_t answer(const std::vector<sock_filter>& program, std::uint32_t architecture,
                     int number, std::uint64_t first_argument = 0) {
  seccomp_data data{};
  data.arch = architecture;
  data.nr = number;
  data.args[0] = first_argument;
  const auto verdict = BpfMachine(program).run(data);
  EXPECT_TRUE(verdict);
  return verdict ? verdict->value : SECCOMP_RET_KILL_PROCESS;
}

void expect_shm_notified_only(const Json& profile, std::uint32_t otherwise) {
  constexpr int kIpc = *kI386Calls.ipc;
  const auto program = compiled(profile);
  for (const int number :
       {kX86_64Calls.shmget, kX86_64Calls.shmat, kX86_64Calls.shmctl, kX86_64Calls.shmdt}) {
    EXPECT_EQ(answer(program, AUDIT_ARCH_X86_64, number), SECCOMP_RET_USER_NOTIF) << number;
  }
  EXPECT_EQ(answer(program, AUDIT_ARCH_X86_64, 65), otherwise) << "semop";
  for (const int number :
       {kI386Calls.shmget, kI386Calls.shmctl, kI386Calls.shmat, kI386Calls.shmdt}) {
    EXPECT_EQ(answer(program, AUDIT_ARCH_I386, number), SECCOMP_RET_USER_NOTIF) << number;
  }
  for (const std::uint64_t version : {0x0U, 0x10000U, 0x20000U, 0xffff0000U}) {
    for (std::uint64_t subcall = 0; subcall <= 0xffff; ++subcall) {
      const bool shm = subcall >= 21 && subcall <= 24;
      ASSERT_EQ(answer(program, AUDIT_ARCH_I386, kIpc, version | subcall),
                shm ? std::uint32_t{SECCOMP_RET_USER_NOTIF} : otherwise)
          << "sub-call " << subcall << " with version " << version;
    }
  }
}

TEST(CompiledProfile, NotifiesSharedMemoryOnly) {
  expect_shm_notified_only(new_profile({.architectures = {kArchX86_64, kArchX86}}),
                           SECCOMP_RET_ALLOW);
}

TEST(CompiledProfile, AllowsTheOtherSubcallsThatWereAllowed) {
  expect_shm_notified_only(
      merged_json(
          for_i386(R"({"names":["semop","ipc","shmat","read"],"action":"SCMP_ACT_ALLOW"})")),
      SECCOMP_RET_ALLOW);
}

TEST(CompiledProfile, RefusesTheOtherSubcallsThatWereRefused) {
  expect_shm_notified_only(
      merged_json(for_i386(R"({"names":["shmget","read"],"action":"SCMP_ACT_ALLOW"})")),
      SECCOMP_RET_ERRNO | EPERM);
}

/// What an Arm machine makes of `profile`: the numbers of include/uapi/asm-generic/unistd.h, and of
/// arch/arm/tools/syscall.tbl.
void expect_shm_notified_on_arm(const Json& profile, std::uint32_t otherwise) {
  const auto program = compiled(profile, kArmFamily);
  for (const int number : {194, 195, 196, 197}) {
    EXPECT_EQ(answer(program, AUDIT_ARCH_AARCH64, number), SECCOMP_RET_USER_NOTIF) << number;
  }
  EXPECT_EQ(answer(program, AUDIT_ARCH_AARCH64, 193), otherwise) << "semop";
  for (const int number : {305, 306, 307, 308}) {
    EXPECT_EQ(answer(program, AUDIT_ARCH_ARM, number), SECCOMP_RET_USER_NOTIF) << number;
  }
  EXPECT_EQ(answer(program, AUDIT_ARCH_ARM, 298), otherwise) << "semop";
}

TEST(CompiledProfile, NotifiesSharedMemoryOnArm) {
  const ShmProfile arm = {.architectures = {kArchAarch64, kArchArm}};
  expect_shm_notified_on_arm(new_profile(arm), SECCOMP_RET_ALLOW);
  // As Docker's and podman's are, which have the architectures of all machines.
  const std::string of_all = R"({"defaultAction":"SCMP_ACT_ERRNO","archMap":[
      {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
      {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],
      "syscalls":[{"names":["semop","ipc","shmat","read"],"action":"SCMP_ACT_ALLOW"}]})";
  expect_shm_notified_on_arm(merged_json(of_all), SECCOMP_RET_ALLOW);
  expect_shm_notified_only(merged_json(of_all), SECCOMP_RET_ALLOW);
}

TEST(CompiledProfile, KillsWhomItHasNoArchitectureFor) {
  const auto wide = compiled(new_profile({.architectures = {kArchAarch64}}), kArmFamily);
  EXPECT_EQ(answer(wide, AUDIT_ARCH_AARCH64, 196), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(answer(wide, AUDIT_ARCH_ARM, 305), SECCOMP_RET_KILL_THREAD);
  const std::string of_another = R"({"defaultAction":"SCMP_ACT_ALLOW","archMap":[
      {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
      {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":null}],"syscalls":[]})";
  const auto without_narrow = compiled(Json::parse(of_another), kArmFamily);
  EXPECT_EQ(answer(without_narrow, AUDIT_ARCH_ARM, 3), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(answer(without_narrow, AUDIT_ARCH_AARCH64, 3), SECCOMP_RET_ALLOW);
}

}  // namespace
}  // namespace shmvisor
