#include "supervisor/check/check.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"
#include "supervisor/kernel/seccomp_install.h"

namespace shmvisor {
namespace {

constexpr std::array kEveryRow = {
    "proc",
    "rlimit-nofile",
    "rlimit-memlock",
    "inotify-instances",
    "listener",
    "no-other-listener",
    "sync-wake-up",
    "addfd",
    "addfd-send",
    "wait-killable-recv",
    "no-new-privs",
    "pidfd-getfd",
    "pidfd-thread",
    "pidfd-get-info",
    "procmap-query",
    "process-vm",
    "ptrace",
    "call-sites",
    "late-call-sites",
    "namespace-handles",
    "yama",
    "kcmp",
    "subreaper",
    "memfd-sealing",
    "memfd-reopen",
    "noexec-seal",
    "memfd-hugetlb",
    "call-page",
    "inotify",
    "memfd-lease",
    "cachestat",
    "proc-fuse",
    "proc-hide",
    "userns",
    "userns-proc-fuse",
    "private-ipc",
    "userns-private-ipc",
};

/// What stands for a machine that shmvisor cannot run on.
constexpr int kCannotRun = 1;

struct Report {
  int status = -1;
  std::string text;

  /// The line of `name`, or "" where there is none or more than one.
  [[nodiscard]] std::string row(const std::string& name) const {
    std::istringstream lines(text);
    std::string found;
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(name + " ")) continue;
      if (!found.empty()) return "";
      found = line;
    }
    return found;
  }
};

Report report(std::span<const Probe> probes, KernelFeatures& features) {
  std::ostringstream out;
  const int status = run_probes(probes, out, features) ? 0 : kCannotRun;
  return {status, out.str()};
}

Report check(KernelFeatures& features) {
  std::ostringstream out;
  const int status = run_check(out, features) ? 0 : kCannotRun;
  return {status, out.str()};
}

/// The same in a forked child that `prepare` changes first; its status is 126 where that fails.
Report check_in_child(const std::function<bool()>& prepare) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Child child([&] {
    read_end.reset();
    if (!prepare()) return 126;
    KernelFeatures features;
    const Report result = check(features);
    const auto size = static_cast<ssize_t>(result.text.size());
    return ::write(write_end.get(), result.text.data(), result.text.size()) == size ? result.status
                                                                                    : 127;
  });
  write_end.reset();
  Report result;
  char buffer[4096];
  // The child's end closes with it, and a check is bounded.
  for (ssize_t size; (size = ::read(read_end.get(), buffer, sizeof(buffer))) > 0;) {
    result.text.append(buffer, static_cast<std::size_t>(size));
  }
  const Result<int> status = child.wait(0);
  if (status && WIFEXITED(*status)) result.status = WEXITSTATUS(*status);
  return result;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST(Check, FindsWhatThisProgramNeedsHere) {
  KernelFeatures features;
  const Report result = check(features);
  EXPECT_EQ(result.status, 0) << result.text;
  for (const char* name : kEveryRow) EXPECT_NE(result.row(name), "") << name << '\n' << result.text;
  for (const char* name :
       {"proc", "listener", "addfd", "ptrace", "memfd-sealing", "memfd-reopen"}) {
    EXPECT_TRUE(result.row(name).ends_with(" yes")) << result.text;
  }
  EXPECT_NE(result.text.find("\nshmvisor can run here.\n"), std::string::npos);
}

TEST(Check, MarksMissingFeaturesAndNoOthers) {
  KernelFeatures features;
  const Report result = check(features);
  for (std::size_t index = 0; index < static_cast<std::size_t>(KernelFeature::kCount); ++index) {
    const auto feature = static_cast<KernelFeature>(index);
    const std::string row = result.row(std::string(KernelFeatures::name(feature)));
    EXPECT_EQ(features.usable(feature), row.ends_with(" yes")) << row;
    EXPECT_EQ(!features.usable(feature), row.find(" no: ") != std::string::npos) << row;
  }
}

TEST(Check, LeavesNoProcessAndNoDescriptor) {
  const std::size_t before = open_descriptors();
  KernelFeatures features;
  static_cast<void>(check(features));
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Check, ShowsWhatIsSwitchedOffAndDoesNotTryIt) {
  KernelFeatures features;
  for (std::size_t index = 0; index < static_cast<std::size_t>(KernelFeature::kCount); ++index) {
    features.mark_absent(static_cast<KernelFeature>(index));
  }
  const Report result = check(features);
  EXPECT_EQ(result.status, 0) << "every one of them can be done without\n" << result.text;
  for (std::size_t index = 0; index < static_cast<std::size_t>(KernelFeature::kCount); ++index) {
    const std::string name(KernelFeatures::name(static_cast<KernelFeature>(index)));
    EXPECT_NE(result.row(name).find("switched off"), std::string::npos) << name;
    EXPECT_NE(result.row(name).find("instead: "), std::string::npos) << name;
  }

  const std::vector<Probe> untouchable = {feature_probe(
      KernelFeature::kKcmp,
      []() -> Finding {
        ADD_FAILURE() << "tried all the same";
        return Finding::yes();
      },
      "something else")};
  static_cast<void>(report(untouchable, features));
}

TEST(Check, WorksForAnOrdinaryUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const Report result = check_in_child([] {
    // Dumpable, as it would be after execve(2): else the kernel keeps us off our own children.
    return ::setgroups(0, nullptr) == 0 && ::setresgid(1000, 1000, 1000) == 0 &&
           ::setresuid(1000, 1000, 1000) == 0 && ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
  });
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_NE(result.row("no-new-privs").find(" needed "), std::string::npos) << result.text;
}

TEST(Check, NamesTheOtherListener) {
  const Report result = check_in_child([] {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    // Notifies of a call that no probe makes, since nobody is there to answer.
    constexpr std::array<sock_filter, 4> kProgram = {{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmget, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    // Held until the child ends: a chain is free again once its listener is closed.
    static UniqueFd listener;
    auto installed = install_filter(kProgram, {});
    if (!installed) return false;
    listener = *std::move(installed);
    return true;
  });
  EXPECT_EQ(result.status, kCannotRun) << result.text;
  EXPECT_NE(result.row("no-other-listener").find("no: already supervised"), std::string::npos)
      << result.text;
  EXPECT_NE(result.text.find("cannot run here: no-other-listener.\n"), std::string::npos)
      << "one cause is named once\n"
      << result.text;
}

TEST(Check, WorksWhereChildrenAreIgnored) {
  const Report result = check_in_child([] { return ::signal(SIGCHLD, SIG_IGN) != SIG_ERR; });
  EXPECT_EQ(result.status, 0) << result.text;
}

TEST(RunProbes, FailsForAFatalFindingAndSaysWhy) {
  KernelFeatures features;
  const std::vector<Probe> probes = {
      {"fine", [] { return Finding::yes(); }, "not shown"},
      {"moon", [] { return Finding::no("rise", Errno(ENOENT)); }, "it is dark",
       Probe::Need::kFatal},
      {"stars", [] { return Finding::no("clouds"); }, "a lamp"},
  };
  const Report result = report(probes, features);
  EXPECT_EQ(result.status, kCannotRun);
  EXPECT_EQ(result.text,
            "feature  found                                what that means\n"
            "fine     yes\n"
            "moon     no: rise: No such file or directory  fatal: it is dark\n"
            "stars    no: clouds                           instead: a lamp\n"
            "\n"
            "shmvisor cannot run here: moon.\n");
}

TEST(RunProbes, LetsMissingFeaturesAndNotesPass) {
  KernelFeatures features;
  const std::vector<Probe> probes = {
      feature_probe(
          KernelFeature::kInotify, [] { return Finding::no("gone"); }, "patience"),
      feature_probe(
          KernelFeature::kKcmp, [] { return Finding::yes("3 of them"); }, "guessing"),
      {"weather", [] { return Finding::note("rain", "take a coat"); }, "", Probe::Need::kFatal},
  };
  const Report result = report(probes, features);
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.text,
            "feature  found           what that means\n"
            "inotify  no: gone        instead: patience\n"
            "kcmp     yes: 3 of them\n"
            "weather  rain            take a coat\n"
            "\n"
            "shmvisor can run here.\n");
  EXPECT_FALSE(features.usable(KernelFeature::kInotify));
  EXPECT_TRUE(features.usable(KernelFeature::kKcmp));
}

TEST(ThrowawayChild, BringsTheFindingBack) {
  for (const Finding& finding : {Finding::yes(), Finding::yes("much"), Finding::no("why"),
                                 Finding::note("value", "meaning"), Finding::note("", "")}) {
    EXPECT_EQ(in_throwaway_child([&] { return finding; }), finding);
  }
}

TEST(ThrowawayChild, OutlivesAProbeThatDoesNot) {
  const Finding finding = in_throwaway_child([]() -> Finding { ::_exit(0); });
  EXPECT_EQ(finding.state, Finding::State::kNo);
  EXPECT_NE(finding.detail, "");
}

TEST(KernelFeatures, AreFoundByName) {
  std::vector<std::string_view> names;
  for (std::size_t index = 0; index < static_cast<std::size_t>(KernelFeature::kCount); ++index) {
    const auto feature = static_cast<KernelFeature>(index);
    names.push_back(KernelFeatures::name(feature));
    EXPECT_EQ(KernelFeatures::by_name(names.back()), feature);
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end()) << "a name given twice";
  EXPECT_EQ(KernelFeatures::name(KernelFeature::kSyncWakeUp), "sync-wake-up");
  EXPECT_EQ(KernelFeatures::name(KernelFeature::kInotify), "inotify");
  EXPECT_EQ(KernelFeatures::by_name(""), std::nullopt);
  EXPECT_EQ(KernelFeatures::by_name("Sync-Wake-Up"), std::nullopt);
}

}  // namespace
}  // namespace shmvisor
