// differential: the same random sequences on the kernel's own shm and under shmvisor, compared.
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <thread>

#include "integration/differential/exclusions.h"
#include "integration/differential/lane.h"

namespace {

using namespace shmvisor;

constexpr int kSkipped = 77;

/// "A..B", or "N" for 1..N.
bool parse_seeds(const std::string& text, LaneOptions& options) {
  char* end = nullptr;
  options.first_seed = 1;
  options.last_seed = std::strtoull(text.c_str(), &end, 10);
  if (end == text.c_str()) return false;
  if (std::strncmp(end, "..", 2) == 0) {
    options.first_seed = options.last_seed;
    options.last_seed = std::strtoull(end + 2, &end, 10);
  }
  return *end == '\0' && options.first_seed <= options.last_seed;
}

/// Why sequences cannot be executed here; nothing where they can.
std::string missing_surroundings() {
  if (::geteuid() != 0) return "needs root, to make namespaces and to change the user";
  if (::access("/proc/sysvipc/shm", R_OK) != 0) {
    return "this kernel has no System V shared memory to compare with";
  }
  const pid_t probe = ::fork();
  if (probe == 0) {
    ::_exit(::unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) == 0 ? 0 : 1);
  }
  int status = 1;
  ::waitpid(probe, &status, 0);
  return status == 0 ? "" : "unshare of PID, mount and IPC namespaces is refused here";
}

bool own_proc() {
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
}

/// A lane in a PID namespace of its own, as its first process; two processes above it die with it
/// and it with them.
pid_t start_lane(const LaneOptions& options, Shared& shared, int number) {
  const pid_t outer = ::fork();
  if (outer != 0) return outer;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(1);
  const pid_t inner = ::fork();
  if (inner == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!own_proc()) ::_exit(1);
    Lane(options, shared, number).work();
    ::_exit(0);
  }
  int status = 1;
  if (inner > 0) ::waitpid(inner, &status, 0);
  ::_exit(status == 0 ? 0 : 1);
}

/// Whether the kernel is new enough for the difference that an exclusion excuses.
bool shown_by_this_kernel(const std::string& name) {
  utsname system{};
  int version = 0;
  int patch_level = 0;
  const auto table = exclusions();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Exclusion& one) { return one.name == name; });
  return found == table.end() || ::uname(&system) != 0 ||
         std::sscanf(system.release, "%d.%d", &version, &patch_level) != 2 ||
         1000 * version + patch_level >= found->since_kernel;
}

double per_second(std::uint64_t operations, std::uint64_t nanoseconds) {
  return nanoseconds == 0
             ? 0
             : 1e9 * static_cast<double>(operations) / static_cast<double>(nanoseconds);
}

void summarise(const LaneOptions& options, const Shared& shared, double seconds) {
  const std::uint64_t operations = shared.operations;
  std::printf("%llu sequences, %llu operations, %llu sequences diverge in %llu ways\n",
              static_cast<unsigned long long>(shared.sequences),
              static_cast<unsigned long long>(operations),
              static_cast<unsigned long long>(shared.diverging_sequences),
              static_cast<unsigned long long>(shared.distinct_divergences));
  if (shared.native_contradictions != 0) {
    std::printf("in %llu more the kernel contradicts itself\n",
                static_cast<unsigned long long>(shared.native_contradictions));
  }
  std::printf("operations/s: natively %.0f, under shmvisor %.0f, both and all lanes %.0f\n",
              per_second(operations, shared.native_nanoseconds),
              per_second(operations, shared.supervised_nanoseconds),
              static_cast<double>(operations) / seconds);
  const auto table = exclusions();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string name(table[i].name);
    std::printf("excluded as %s: %llu differences%s\n", name.c_str(),
                static_cast<unsigned long long>(shared.excused[i]),
                options.disabled_exclusions.contains(name) ? " (switched off)" : "");
  }
}

int run(LaneOptions& options, int lanes) {
  if (const std::string missing = missing_surroundings(); !missing.empty()) {
    std::printf("SKIPPED: %s\n", missing.c_str());
    return kSkipped;
  }
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 125;
  auto* const shared = new (memory) Shared{};
  const auto begin = std::chrono::steady_clock::now();
  std::fflush(stdout);
  std::vector<pid_t> started;
  for (int number = 0; number < lanes; ++number) {
    started.push_back(start_lane(options, *shared, number));
  }
  for (const pid_t pid : started) {
    int status = 1;
    if (pid < 0 || ::waitpid(pid, &status, 0) < 0 || status != 0) shared->failures.fetch_add(1);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  summarise(options, *shared, took.count());
  if (shared->failures != 0) {
    std::printf("FAILED: a lane could not do its work\n");
    return 125;
  }
  const std::uint64_t expected = options.expect_divergence ? options.job_count() : 0;
  return shared->diverging_sequences == expected ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  LaneOptions options;
  options.interpreter =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "differential_interpreter")
          .string();
  std::string seeds = "100";
  int lanes = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U));
  bool print_only = false;
  bool no_minimise = false;
  std::vector<std::string> disabled;
  std::string shown;

  CLI::App app(
      "Executes random sequences of operations on the kernel's own System V shared memory "
      "and under shmvisor, and compares all that is seen.");
  app.add_option("--shmvisor", options.shmvisor, "the program under test")->envname("SHMVISOR");
  app.add_option("--interpreter", options.interpreter, "the program that executes sequences");
  app.add_option("--seeds", seeds, "A..B, or N for 1..N")->capture_default_str();
  app.add_option("--steps", options.generator.steps, "operations in a sequence")
      ->capture_default_str();
  app.add_option("--jobs", lanes, "sequences at a time")->check(CLI::Range(1, 64));
  app.add_option("--replay", options.replays, "files with sequences, instead of seeds")
      ->check(CLI::ExistingFile);
  app.add_option("--most", options.most_divergences, "stop after so many distinct divergences")
      ->capture_default_str();
  app.add_option("--show-exclusion", shown, "replays shall diverge without this exclusion");
  app.add_option("--without-exclusion", disabled, "an exclusion that shall not count");
  app.add_flag("--no-minimise", no_minimise, "report diverging sequences as they are");
  app.add_flag("--namespaces", options.generator.namespaces, "unshare and enter IPC namespaces");
  app.add_flag("--sysctl", options.generator.sysctl, "change the limits");
  app.add_flag("--proc-table", options.generator.proc_table, "look at /proc/sysvipc/shm");
  app.add_flag("--ticks", options.generator.ticks, "let time pass");
  app.add_flag("--transcripts", options.show_transcripts, "print what was seen");
  app.add_flag("--print", print_only, "print the sequences, execute nothing");
  CLI11_PARSE(app, argc, argv);

  if (!parse_seeds(seeds, options)) {
    std::fprintf(stderr, "--seeds: wanted A..B or N, got '%s'\n", seeds.c_str());
    return 2;
  }
  options.program = ::getpid();
  options.minimise = !no_minimise;
  if (!shown.empty()) {
    if (!shown_by_this_kernel(shown)) {
      std::printf("SKIPPED: this kernel is older than the difference of %s\n", shown.c_str());
      return kSkipped;
    }
    options.expect_divergence = true;
    options.most_divergences = options.job_count() + 1;
    disabled.push_back(shown);
  }
  options.disabled_exclusions.insert(disabled.begin(), disabled.end());
  if (print_only) {
    for (std::uint64_t seed = options.first_seed; seed <= options.last_seed; ++seed) {
      std::printf("# seed %llu\n%s", static_cast<unsigned long long>(seed),
                  to_text(Generator(seed, options.generator).generate()).c_str());
    }
    return 0;
  }
  if (options.shmvisor.empty() || ::access(options.shmvisor.c_str(), X_OK) != 0) {
    std::fprintf(stderr, "--shmvisor (or SHMVISOR): no program at '%s'\n",
                 options.shmvisor.c_str());
    return 2;
  }
  options.shmvisor = std::filesystem::absolute(options.shmvisor).string();
  options.interpreter = std::filesystem::absolute(options.interpreter).string();
  for (std::string& path : options.replays) path = std::filesystem::absolute(path).string();
  return run(options, lanes);
}
