#include "supervisor/control/control_place.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace shmvisor::control {
namespace {

constexpr std::string_view kEnding = ".control";
constexpr std::string_view kJoinEnding = ".join";
constexpr std::string_view kByName = "name:";
constexpr mode_t kOwnerOnly = 0700;

/// The default folder first. Empty where this user has none.
std::vector<std::string> folders() {
  std::vector<std::string> all;
  const auto add = [&all](const std::string& above) {
    const std::string folder = above + "/shmvisor";
    if (std::ranges::find(all, folder) == all.end()) all.push_back(folder);
  };
  const std::string of_user = "/run/user/" + std::to_string(::geteuid());
  const char* const variable = std::getenv("XDG_RUNTIME_DIR");
  std::string_view runtime = variable == nullptr ? "" : variable;
  while (runtime.size() > 1 && runtime.ends_with('/')) runtime.remove_suffix(1);
  // A login sets it, and neither cron nor a service manager does. A name must mean the same place
  // to all of root's, so root's is that of the system.
  const bool is_of_login = ::geteuid() == 0 && runtime == of_user;
  // A relative one is to be ignored, says the XDG base directory specification.
  if (runtime.starts_with('/') && !is_of_login) add(std::string(runtime));
  if (::geteuid() == 0) add("/run");
  if (::access(of_user.c_str(), X_OK) == 0) add(of_user);
  return all;
}

/// A sentence where the folder is not there afterwards, or not ours alone.
std::string make(const std::string& folder) {
  if (::mkdir(folder.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
    return "cannot make " + folder + ": " + std::strerror(errno);
  }
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0) {
    return "cannot look at " + folder + ": " + std::strerror(errno);
  }
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0) {
    return folder +
           " is not a folder of this user's with mode 0700, and so no place for its sockets";
  }
  return {};
}

/// `file` in the default folder. `instead`: what to do where that cannot be had.
Result<std::string, Trouble> default_place(const std::string& file, const std::string& instead) {
  const auto known = folders();
  if (known.empty()) {
    return Trouble{"no place for a socket: XDG_RUNTIME_DIR is not set, and there is no /run/user/" +
                   std::to_string(::geteuid()) + "; " + instead};
  }
  if (const std::string trouble = make(known.front()); !trouble.empty()) {
    return Trouble{trouble + "; " + instead};
  }
  return known.front() + "/" + file;
}

}  // namespace

std::string check_name(const std::string& name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kOthers = "0123456789._-";
  const auto is_one_of = [](char letter, std::string_view those) {
    return those.find(letter) != std::string_view::npos;
  };
  const bool fits = !name.empty() && name.size() <= kLongestName &&
                    is_one_of(name.front(), kLetters) &&
                    std::ranges::all_of(name, [&](char letter) {
                      return is_one_of(letter, kLetters) || is_one_of(letter, kOthers);
                    });
  if (fits) return {};
  return "'" + name + "' is no name: a letter first, then letters, digits, '.', '_' and '-', at " +
         "most " + std::to_string(kLongestName) + " in all";
}

Result<std::string, Trouble> place_for(const ControlOptions& options) {
  if (!options.path.empty() && options.path != ControlOptions::kAuto) return options.path;
  const std::string name = options.name.empty() ? std::to_string(::getpid()) : options.name;
  return default_place(name + std::string(kEnding), "give --control PATH");
}

std::string join_place_as_is(const std::string& text) {
  const auto known = folders();
  if (!text.starts_with(kByName) || known.empty()) return text;
  return known.front() + "/" + text.substr(kByName.size()) + std::string(kJoinEnding);
}

Result<std::string, Trouble> join_place(const std::string& text) {
  if (!text.starts_with(kByName)) return text;
  const std::string name = text.substr(kByName.size());
  if (std::string trouble = check_name(name); !trouble.empty()) return Trouble{std::move(trouble)};
  return default_place(name + std::string(kJoinEnding), "give a path");
}

std::vector<std::string> known_sockets() {
  std::vector<std::string> sockets;
  for (const std::string& folder : folders()) {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
    if (open == nullptr) continue;
    while (const dirent* const entry = ::readdir(open.get())) {
      const std::string_view file(static_cast<const char*>(entry->d_name));
      if (file.ends_with(kEnding)) sockets.push_back(folder + "/" + std::string(file));
    }
  }
  std::ranges::sort(sockets);
  return sockets;
}

}  // namespace shmvisor::control
