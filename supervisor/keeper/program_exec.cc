#include "supervisor/keeper/program_exec.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>
#include <string_view>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/proof_of_origin.h"

namespace shmvisor {
namespace {

constexpr const char* kUpgrades = "upgrades";
constexpr const char* kInheritable = "inheritable capabilities";
/// Behind the number in the environment.
constexpr std::string_view kBack = ",back";
constexpr const char* kNotByEqual =
    ": this is for an upgrade alone, from a program that has all capabilities that this file gives";
constexpr int kOwnFailure = 125;  // exit_status.h

/// Of this program, while there is a way back.
int g_handover = -1;
int g_old_program = -1;
bool g_went_back = false;

/// What go_back() executes: made beforehand, since it may be for want of memory.
struct WayBack {
  std::vector<std::string> words;
  std::vector<char*> pointers;
  std::string variable;
};
WayBack& prepared_way_back() {
  static WayBack* const way = new WayBack;  // NOLINT: used until the very end
  return *way;
}

void say(const std::string& words) { (void)std::fprintf(stderr, "shmvisor: %s\n", words.c_str()); }

std::optional<int> as_descriptor(std::string_view text) {
  int fd = -1;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), fd);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || fd < 0) return std::nullopt;
  return fd;
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

/// Returns where it fails.
void exec(int program, const std::vector<char*>& words) {
  const ProofOfOrigin proof(program);
  ::syscall(SYS_execveat, program, "", words.data(), ::environ, AT_EMPTY_PATH);
}

void exec(int program, const std::vector<std::string>& words) { exec(program, pointers_to(words)); }

void prepare_way_back() {
  WayBack& way = prepared_way_back();
  way.words = words_of_this_process();
  way.pointers = pointers_to(way.words);
  way.variable = std::string(KeptStore::kVariable) + '=' + std::to_string(g_handover) + ',' +
                 std::to_string(g_old_program) + std::string(kBack);
  // What is thrown would close, on its way, descriptors that the other program needs.
  std::set_new_handler([] {
    std::set_new_handler(nullptr);
    go_back("no memory");
  });
}

/// Also a program that holds back all other signals. execve(2) keeps it.
void end_after(unsigned seconds) {
  (void)::signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(seconds);
}

/// The kernel names a program that was begun by its descriptor after that.
void take_name() {
  const std::string name = KeptStore::ours().text("process name");
  if (!name.empty()) ::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
}

}  // namespace

bool begin_program(bool may_go_on) {
  const char* const value = std::getenv(KeptStore::kVariable);
  if (value == nullptr) return true;
  if (!may_go_on) {
    ::unsetenv(KeptStore::kVariable);
    return true;
  }
  if (!is_begun_by_equal()) {
    // Not as if nothing had been said: the command would begin a second time.
    say(std::string(KeptStore::kVariable) + kNotByEqual);
    return false;
  }
  // Of the handover, and of the program before this one.
  std::string_view text = value;
  g_went_back = text.ends_with(kBack);
  if (g_went_back) text.remove_suffix(kBack.size());
  const std::size_t comma = std::min(text.find(','), text.size());
  const auto handover = as_descriptor(text.substr(0, comma));
  g_old_program = as_descriptor(text.substr(std::min(comma + 1, text.size()))).value_or(-1);
  ::unsetenv(KeptStore::kVariable);
  KeptStore& store = KeptStore::ours();
  g_handover = handover.value_or(-1);
  prepare_way_back();
  const auto taken = handover ? store.take(*handover) : Result<void, std::string>("no descriptor");
  if (!taken) {
    go_back(std::string(KeptStore::kVariable) + ": " + taken.error());
    return false;
  }
  take_name();
  set_inheritable_capabilities(static_cast<std::uint64_t>(store.number(kInheritable).value_or(0)));
  if (g_went_back) store.note(kUpgrades, store.number(kUpgrades).value_or(1) - 1);
  return true;
}

bool went_back() { return g_went_back; }

bool begin_check(std::vector<char*>& words) {
  constexpr std::size_t kOwnWords = 4;
  if (words.size() <= kOwnWords || !is_begun_by_equal()) {
    say(std::string("resume-check") + kNotByEqual);
    return false;
  }
  // The kernel forgets it where a file gives its program rights.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (words[3] != std::to_string(::getppid())) return false;
  const auto fd = as_descriptor(words[2]);
  const auto looked =
      fd ? KeptStore::ours().look_at(*fd) : Result<void, std::string>("no descriptor");
  if (!looked) {
    say(looked.error());
    return false;
  }
  words.erase(words.begin(), words.begin() + kOwnWords);
  return true;
}

std::string words_of_who_can_go_on() { return "shmvisor can go on: "; }

void say_that_we_can_go_on(const std::string& version) {
  (void)std::printf("%s%s\n", words_of_who_can_go_on().c_str(), version.c_str());
  (void)std::fflush(stdout);
}

std::string exec_program(const UniqueFd& program, const std::vector<std::string>& words,
                         const std::vector<int>& inherited) {
  KeptStore& store = KeptStore::ours();
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data(), 0, 0, 0);
  const UniqueFd ours(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!ours.valid()) return std::string("/proc/self/exe: ") + std::strerror(errno);
  const std::int64_t upgrades = store.number(kUpgrades).value_or(0);
  store.note_text("process name", name.data());
  store.note(kInheritable, static_cast<std::int64_t>(inheritable_capabilities()));
  store.note(kUpgrades, upgrades + 1);
  std::string why;
  if (auto handover = store.write(inherited)) {
    std::vector<int> all = store.all_descriptors(inherited);
    all.push_back(handover->get());
    all.push_back(ours.get());
    const std::string value = std::to_string(handover->get()) + ',' + std::to_string(ours.get());
    ::setenv(KeptStore::kVariable, value.c_str(), 1);
    set_close_on_exec(all, false);
    exec(program.get(), words);
    why = std::string("it cannot be executed: ") + std::strerror(errno);
    set_close_on_exec(all, true);
    ::unsetenv(KeptStore::kVariable);
  } else {
    why = handover.error();
  }
  store.note(kUpgrades, upgrades);
  return why;
}

void bound_check() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  end_after(kMostCheckSeconds);
}

void exec_check(const UniqueFd& program, const std::vector<std::string>& words,
                const UniqueFd& handover, const std::vector<int>& inherited, const UniqueFd& output,
                pid_t asker) {
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (nothing.valid()) ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(output.get(), STDOUT_FILENO);
  ::dup2(output.get(), STDERR_FILENO);
  const KeptStore& store = KeptStore::ours();
  // Our descriptors are our own, from the clone on.
  std::vector<int> open = inherited;
  std::erase_if(open, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });
  if (const auto written = store.write_to(handover, open); written) {
    set_close_on_exec(store.all_descriptors(open), false);
    set_close_on_exec({handover.get()}, false);
    std::vector<std::string> all{"shmvisor", "resume-check", std::to_string(handover.get()),
                                 std::to_string(asker)};
    all.insert(all.end(), words.begin(), words.end());
    exec(program.get(), all);
    say(std::string("it cannot be executed: ") + std::strerror(errno));
  } else {
    say(written.error());
  }
  ::_exit(kOwnFailure);
}

void stay_with_program() {
  KeptStore& store = KeptStore::ours();
  if (g_handover < 0) return;
  set_close_on_exec(store.all_descriptors(store.inherited()), true);
  ::close(g_handover);
  ::close(g_old_program);
  g_handover = -1;
  g_old_program = -1;
  std::set_new_handler(nullptr);
}

std::vector<int> way_back() { return {g_handover, g_old_program}; }

void go_back(const std::string& why) {
  const KeptStore& store = KeptStore::ours();
  if (!why.empty()) say(why);
  if (store.only_looks()) ::_exit(kOwnFailure);
  if (g_handover < 0 || g_old_program < 0 || g_went_back) return;
  say("this program cannot go on: the one before it does");
  WayBack& way = prepared_way_back();
  ::putenv(way.variable.data());
  exec(g_old_program, way.pointers);
  ::unsetenv(KeptStore::kVariable);
}

std::vector<std::string> words_of_this_process() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> words;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    words.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace shmvisor
