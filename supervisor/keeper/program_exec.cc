#include "supervisor/keeper/program_exec.h"

#include <fcntl.h>
#include <linux/capability.h>
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
#include <optional>
#include <string_view>

#include "supervisor/keeper/kept_store.h"

namespace shmvisor {
namespace {

constexpr const char* kUpgrades = "upgrades";
/// Behind the number in the environment.
constexpr std::string_view kBack = ",back";
constexpr int kOwnFailure = 125;  // exit_status.h

/// Of this program, while there is a way back.
int g_handover = -1;
int g_old_program = -1;
bool g_went_back = false;

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
void exec(int program, const std::vector<std::string>& words) {
  const std::vector<char*> pointers = pointers_to(words);
  ::syscall(SYS_execveat, program, "", pointers.data(), ::environ, AT_EMPTY_PATH);
}

/// The kernel names a program that was begun by its descriptor after that.
void take_name() {
  const std::string name = KeptStore::ours().text("process name");
  if (!name.empty()) ::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
}

}  // namespace

bool begin_program() {
  const char* const value = std::getenv(KeptStore::kVariable);
  if (value == nullptr) return true;
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
  const auto taken = handover ? store.take(*handover) : Result<void, std::string>("no descriptor");
  if (!taken) {
    go_back(std::string(KeptStore::kVariable) + ": " + taken.error());
    return false;
  }
  take_name();
  if (g_went_back) store.note(kUpgrades, store.number(kUpgrades).value_or(1) - 1);
  return true;
}

bool begin_check(std::vector<char*>& words) {
  constexpr std::size_t kOwnWords = 3;
  if (words.size() <= kOwnWords) {
    say("resume-check: for an upgrade alone");
    return false;
  }
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

void exec_check(const UniqueFd& program, const std::vector<std::string>& words,
                const UniqueFd& handover, const std::vector<int>& descriptors,
                const UniqueFd& output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (nothing.valid()) ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(output.get(), STDOUT_FILENO);
  ::dup2(output.get(), STDERR_FILENO);
  set_close_on_exec(descriptors, false);
  set_close_on_exec({handover.get()}, false);
  std::vector<std::string> all{"shmvisor", "resume-check", std::to_string(handover.get())};
  all.insert(all.end(), words.begin(), words.end());
  exec(program.get(), all);
  say(std::string("it cannot be executed: ") + std::strerror(errno));
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
}

std::vector<int> way_back() { return {g_handover, g_old_program}; }

void go_back(const std::string& why) {
  const KeptStore& store = KeptStore::ours();
  if (!why.empty()) say(why);
  if (store.only_looks()) ::_exit(kOwnFailure);
  if (g_handover < 0 || g_old_program < 0 || g_went_back) return;
  say("this program cannot go on: the one before it does");
  const std::string value =
      std::to_string(g_handover) + ',' + std::to_string(g_old_program) + std::string(kBack);
  ::setenv(KeptStore::kVariable, value.c_str(), 1);
  exec(g_old_program, words_of_this_process());
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

std::uint64_t permitted_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return 0;
  return data[0].permitted | std::uint64_t{data[1].permitted} << 32;
}

}  // namespace shmvisor
