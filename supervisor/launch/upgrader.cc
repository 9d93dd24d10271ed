#include "supervisor/launch/upgrader.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>

#include "supervisor/credentials/user_namespace.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/keeper/proof_of_origin.h"
#include "supervisor/kernel/event_descriptor.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/kept_configuration.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

/// To read and check what there is, on a busy machine too.
constexpr std::chrono::seconds kCheckBound(30);
/// For calls in service: the slowest attach that waits for nobody.
constexpr std::chrono::milliseconds kQuietBound(1000);
constexpr std::chrono::milliseconds kBetweenLooks(1);
constexpr std::chrono::milliseconds kLogBound(50);
constexpr off_t kMostOutputBytes = 64 << 10;
constexpr off_t kMostWords = 1024;
/// Of KeptStore.
constexpr const char* kSignalWaits = "upgrade asked by a signal";

/// Where our program was started from, as the kernel knows it; an upgrade of a package has put
/// another file there.
std::string own_path() {
  std::array<char, 4096> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  std::string_view text(path.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  constexpr std::string_view kDeleted = " (deleted)";
  if (text.ends_with(kDeleted)) text.remove_suffix(kDeleted.size());
  return std::string(text);
}

/// What a check says. There is no room for more than is of use, so that a program that is no
/// shmvisor does not fill the memory.
UniqueFd output_of_check() {
  UniqueFd file(::memfd_create("shmvisor-check", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ::ftruncate(file.get(), kMostOutputBytes) != 0) return {};
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) return {};
  return file;
}

/// Of the child that checks.
[[noreturn]] void end_check_with(const UniqueFd& output, const std::string& sentence) {
  const std::string line = sentence + '\n';
  (void)!::write(output.get(), line.data(), line.size());
  ::_exit(exit_status::kOwnFailure);
}

/// What it has said, on one line; the last of it.
std::string said_in(int output) {
  const off_t end = std::clamp<off_t>(::lseek(output, 0, SEEK_CUR), 0, kMostOutputBytes);
  const off_t size = std::min<off_t>(end, kMostWords);
  std::string words(static_cast<std::size_t>(size), '\0');
  if (::pread(output, words.data(), words.size(), end - size) != size) return {};
  while (!words.empty() && words.back() == '\n') words.pop_back();
  for (char& letter : words) {
    if (static_cast<unsigned char>(letter) < ' ') letter = letter == '\n' ? '|' : '?';
  }
  return words;
}

}  // namespace

Upgrader::Upgrader(EventLoop& loop, const Kept& kept, ServerKeeper& servers, Keeper keeper)
    : kept_(kept),
      servers_(servers),
      keeper_(std::move(keeper)),
      wished_(loop.watch(kept.upgrade_asked, POLLIN, [this](short) { see_wish(); })),
      too_long_(loop.timer([this] { ::kill(checker_, SIGKILL); })),
      look_again_(loop.timer([this] { carry_out([this] { look_whether_quiet(); }); })),
      program_(servers),
      handover_(servers),
      output_(servers) {
  KeptStore& store = KeptStore::ours();
  signal_waits_ = store.number(kSignalWaits).value_or(0) != 0;
  store.note(kSignalWaits, 0);
  // What came while the program changed.
  if (signal_waits_) tell_by(kept.upgrade_asked);
}

template <typename Step>
void Upgrader::carry_out(Step step) {
  try {
    step();
  } catch (const std::exception&) {
    give_up();
  }
}

void Upgrader::give_up() noexcept {
  // What is called here takes no memory, but for keeper_.stay(), which may do without.
  too_long_.cancel();
  look_again_.cancel();
  if (checker_ != 0) ::kill(checker_, SIGKILL);
  checker_ = 0;
  program_.reset(UniqueFd());
  output_.reset(UniqueFd());
  handover_.reset(UniqueFd());
  try {
    if (std::exchange(left_, false)) keeper_.stay();
  } catch (const std::exception&) {
  }
  kept_.state.header().paused.store(0);
  answer_with(path_, "no memory");
}

void Upgrader::see_wish() {
  take_news(kept_.upgrade_asked);
  begin_next();
}

void Upgrader::ask() {
  signal_waits_ = true;
  begin_next();
}

void Upgrader::begin_next() {
  if (busy_ || !kept_.upgrade.all_told()) return;
  wish_ = kept_.upgrade.under_way() ? kept_.upgrade.asked.load() : 0;
  if (wish_ == 0 && !std::exchange(signal_waits_, false)) return;
  busy_ = true;
  carry_out([this] { begin(wish_ == 0 ? "" : KeptUpgrade::get(kept_.upgrade.program)); });
}

void Upgrader::begin(const std::string& path) {
  std::string trouble = keeper_.not_now();
  if (trouble.empty()) trouble = KeptStore::ours().obstacle();
  if (trouble.empty()) trouble = open_program(path);
  if (trouble.empty()) trouble = begin_check();
  if (!trouble.empty()) stay(trouble);
}

std::string Upgrader::open_program(const std::string& path) {
  path_ = path.empty() ? own_path() : path;
  program_.reset(UniqueFd(::open(path_.c_str(), O_PATH | O_CLOEXEC)));
  struct stat status {};
  if (!program_.fd().valid() || ::fstat(program_.fd().get(), &status) != 0) {
    return path_ + ": " + std::strerror(errno);
  }
  if (!S_ISREG(status.st_mode)) return path_ + " is no file that can be executed";
  const bool is_ours = status.st_uid == ::geteuid() && is_unambiguous(status.st_uid);
  if (status.st_uid != 0 && !is_ours) {
    return path_ + " is neither root's nor of the user that this runs as";
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return path_ + " may be written by its group or by others";
  }
  if ((status.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return path_ + " has a set-user-ID or set-group-ID bit";
  }
  return {};
}

std::string Upgrader::begin_check() {
  words_ = words_of_this_process();
  if (words_.empty()) return "/proc/self/cmdline cannot be read";
  KeptStore& store = KeptStore::ours();
  store.note("capabilities", static_cast<std::int64_t>(permitted_capabilities()));
  const auto inherited = servers_.taken_over();
  if (!inherited) return inherited.error();
  auto handover = KeptStore::empty_handover();
  if (!handover) return handover.error();
  handover_.reset(std::move(*handover));
  output_.reset(output_of_check());
  if (!output_.fd().valid()) return std::string("no descriptor: ") + std::strerror(errno);
  const pid_t ours = ::getpid();
  checker_ = ::fork();
  if (checker_ < 0) return std::string("no process to check it: ") + std::strerror(errno);
  if (checker_ == 0) {
    bound_check();
    if (const auto read = read_configuration_anew(); !read) {
      end_check_with(output_.fd(), read.error());
    }
    exec_check(program_.fd(), words_, handover_.fd(), *inherited, output_.fd(), ours);
  }
  keeper_.watch_child(checker_, [this, checker = checker_](const siginfo_t& end) {
    if (checker == checker_) carry_out([&] { end_check(end); });
  });
  too_long_.set(Clock::now() + kCheckBound);
  return {};
}

void Upgrader::end_check(const siginfo_t& end) {
  too_long_.cancel();
  checker_ = 0;
  const std::string why_not = verdict(end);
  configuration_ = configuration_in(handover_.fd());
  output_.reset(UniqueFd());
  handover_.reset(UniqueFd());
  if (!why_not.empty()) return stay(why_not);
  if (std::string now = keeper_.not_now(); !now.empty()) return stay(now);
  pause();
}

std::string Upgrader::verdict(const siginfo_t& end) const {
  const std::string said = said_in(output_.fd().get());
  const bool ended_well = end.si_code == CLD_EXITED && end.si_status == 0;
  if (ended_well && said.starts_with(words_of_who_can_go_on())) return {};
  std::string why = path_ + " cannot go on with what there is";
  if (ended_well) why = path_ + " is no shmvisor that can be upgraded to";
  if (end.si_code != CLD_EXITED) why += ": signal " + std::to_string(end.si_status) + " ended it";
  return said.empty() ? why : why + ": " + said;
}

void Upgrader::pause() {
  kept_.state.header().paused.store(1);
  paused_until_ = Clock::now() + kQuietBound;
  look_whether_quiet();
}

bool Upgrader::calls_in_service() const {
  return std::ranges::any_of(kept_.state.slots(), [](const journal::CallSlot& slot) {
    return slot.state.load() != journal::CallSlot::kFree &&
           (slot.flags.load() & (journal::CallSlot::kInService | journal::CallSlot::kBegun)) != 0;
  });
}

void Upgrader::look_whether_quiet() {
  if (calls_in_service() && Clock::now() < *paused_until_) {
    look_again_.set(Clock::now() + kBetweenLooks);
    return;
  }
  servers_.replace_server([this] { carry_out([this] { change_program(); }); });
}

void Upgrader::change_program() {
  left_ = true;
  keeper_.leave();
  spdlog::warn("upgrade: {} takes over", path_);
  flush_process_log(kLogBound);
  const std::string why = exec_next();
  left_ = false;
  keeper_.stay();
  kept_.state.header().paused.store(0);
  stay(path_ + ": " + why);
}

std::string Upgrader::exec_next() {
  KeptStore& store = KeptStore::ours();
  const KeptUpgrade& upgrade = kept_.upgrade;
  const auto inherited = servers_.taken_over();
  if (!inherited) return inherited.error();
  const NextConfiguration next(configuration_);
  store.note_text(kNextProgram, path_);
  store.note(kAnsweredWishes, wish_ != 0 ? wish_ : upgrade.answered.load());
  store.note(kSignalWaits, signal_waits_ ? 1 : 0);
  return exec_program(program_.fd(), words_, *inherited);
}

void Upgrader::stay(const std::string& why) {
  program_.reset(UniqueFd());
  spdlog::warn("upgrade: {}; this program goes on", why);
  flush_process_log(kLogBound);  // or the next server would write this, too
  answer_with(path_, why);
}

void Upgrader::answer_with(std::string_view path, std::string_view why) noexcept {
  KeptUpgrade& upgrade = kept_.upgrade;
  if (wish_ != 0) upgrade.answered.store(wish_);
  upgrade.refuse(path, why, wish_);
  tell_by(kept_.upgrade_answered);
  busy_ = false;
}

}  // namespace shmvisor
