#include "supervisor/audit/audit_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

using Outcome = Result<void, std::string>;

constexpr mode_t kMode = S_IRUSR | S_IWUSR;

std::string reason(int error = errno) { return std::strerror(error); }

/// Who could write to our file, or lead us to another, anyway.
bool is_trusted(uid_t owner) { return owner == 0 || owner == ::geteuid(); }

/// In a container a log often goes to these.
std::string no_regular_file(const std::string& path) {
  const bool is_stream = path == "/dev/stdout" || path == "/dev/stderr";
  return std::string("it is no regular file") +
         (is_stream ? "; standard error is called stderr" : "");
}

/// Makes of `path` the one that its symbolic links lead to. By hand, so that nobody can put another
/// link there between the look at it and the opening.
Outcome follow(std::string& path) {
  constexpr int kMostLinks = 40;
  for (int links = 0; links < kMostLinks; ++links) {
    const UniqueFd there(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!there.valid() || ::fstat(there.get(), &status) != 0) {
      if (errno == ENOENT) return {};  // it is to be made
      return reason();
    }
    if (!S_ISLNK(status.st_mode)) return {};
    if (!is_trusted(status.st_uid)) return path + " is a symbolic link of another user's";
    // A link of /proc, as /dev/stdout leads to, need not be the name of anything.
    struct stat led_to {};
    if (::stat(path.c_str(), &led_to) == 0 && !S_ISREG(led_to.st_mode) &&
        !S_ISDIR(led_to.st_mode)) {
      return no_regular_file(path);
    }
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(there.get(), "", target.data(), target.size());
    if (size < 0) return reason();
    const std::string_view name(target.data(), static_cast<std::size_t>(size));
    if (!name.starts_with('/')) path.erase(path.rfind('/') + 1);
    path = name.starts_with('/') ? std::string(name) : path.append(name);
  }
  return reason(ELOOP);
}

/// Where a file system cannot refuse to replace a file it replaces it.
bool rename_to_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  return errno == EINVAL && std::rename(from.c_str(), to.c_str()) == 0;
}

}  // namespace

Result<std::unique_ptr<AuditFile>, std::string> AuditFile::open(Place place, AuditForm form,
                                                                AuditSource source) {
  std::unique_ptr<AuditFile> made(new AuditFile(std::move(place), form, std::move(source)));
  if (const auto opened = made->open_file(); !opened) return opened.error();
  return made;
}

/// Not to wait for the other end of a pipe; another kind of file is not for lines that rotate.
Outcome AuditFile::open_file() {
  constexpr int kFlags =
      O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
  std::string path = place_.path;
  if (auto followed = follow(path); !followed) return followed;
  UniqueFd file(::open(path.c_str(), kFlags, kMode));
  if (!file.valid()) return reason();
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return reason();
  if (!S_ISREG(status.st_mode)) return no_regular_file(path);
  if (!is_trusted(status.st_uid)) {
    return "it is the file of another user, " + std::to_string(status.st_uid);
  }
  // Some file systems know no modes, and a file of root's keeps the mode that root gave it.
  if ((status.st_mode & ALLPERMS) != kMode) (void)!::fchmod(file.get(), kMode);
  path_ = std::move(path);
  file_ = std::move(file);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  char last = '\n';
  (void)!::pread(file_.get(), &last, 1, status.st_size - 1);
  torn_ = last != '\n';
  return {};
}

Outcome AuditFile::look() {
  struct stat status {};
  if (::stat(place_.path.c_str(), &status) != 0) {
    if (errno == ENOENT) return open_file();
    return {};
  }
  if (status.st_dev != device_ || status.st_ino != inode_) return open_file();
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  return {};
}

Outcome AuditFile::make_room(std::size_t more) {
  if (const auto now = Clock::now(); now >= next_try_) {
    if (const auto outcome = rotate()) {
      tell_of_rotation(*outcome);
      if (outcome->ok()) return {};
      next_try_ = now + kBetweenTries;
    }
  }
  const std::uint64_t files = std::uint64_t{place_.kept} + 1;
  if ((bytes_ + more - 1) / files < place_.most_bytes) return {};
  return path_ + " cannot be moved, and is as large as all its files may be";
}

void AuditFile::tell_of_rotation(const Outcome& outcome) {
  if (std::exchange(stuck_, !outcome.ok()) == !outcome.ok()) return;
  if (outcome.ok()) {
    log_limited(spdlog::level::warn, LogTopic::kAudit, LogLimiter::kNobody,
                "--audit: {} is moved at its size again", path_);
  } else {
    log_limited(spdlog::level::warn, LogTopic::kAudit, LogLimiter::kNobody,
                "--audit: {} cannot be moved at its size, and grows: {}", path_, outcome.error());
  }
}

std::optional<Outcome> AuditFile::rotate() {
  // Where the file system has no locks, no other process is supposed to write it.
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return std::nullopt;
  const ino_t locked = inode_;
  // Another process may have moved it before it was ours to move.
  if (auto looked = look(); !looked || inode_ != locked) return looked;
  UniqueFd old = std::move(file_);
  auto outcome = move_away();
  // By hand: a child that was forked meanwhile may have it open.
  ::flock(old.get(), LOCK_UN);
  if (!outcome) file_ = std::move(old);
  return outcome;
}

std::string AuditFile::numbered(unsigned number) const {
  return path_ + "." + std::to_string(number);
}

/// The file that is written first, to FILE.0: where that cannot be moved no other one is.
Outcome AuditFile::move_away() {
  if (place_.kept == 0) {
    if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return reason();
    return open_file();
  }
  const std::string path = path_;
  const std::string first = numbered(0);
  const std::string one_too_many = numbered(place_.kept + 1);
  if (!rename_to_free(path, first)) {
    if (errno == ENOENT) return open_file();
    if (errno != EEXIST) return reason();
    // Of a process that ended half-way.
    if (auto shifted = shift(); !shifted) return shifted;
    if (!rename_to_free(path, first)) return reason();
  }
  auto outcome = shift();
  if (outcome) {
    outcome = open_file();
    if (outcome) {
      ::unlink(one_too_many.c_str());
      return outcome;
    }
    unshift(0);
  }
  // Not where another process has made a new one meanwhile: then the next rotation goes on here.
  (void)rename_to_free(first, path);
  return outcome;
}

/// Each to the next number, the oldest to one that is not kept; all or none. A folder is not ours.
Outcome AuditFile::shift() {
  for (unsigned number = place_.kept + 1; number-- > 0;) {
    const std::string from = numbered(number);
    struct stat status {};
    if (::lstat(from.c_str(), &status) != 0 && errno == ENOENT) continue;
    if (S_ISDIR(status.st_mode)) {
      errno = EISDIR;
    } else if (std::rename(from.c_str(), numbered(number + 1).c_str()) == 0) {
      continue;
    }
    auto why = from + ": " + reason();
    unshift(number + 1);
    return why;
  }
  return {};
}

/// Back again, from that one on.
void AuditFile::unshift(unsigned first) {
  for (unsigned number = first; number <= place_.kept; ++number) {
    (void)std::rename(numbered(number + 1).c_str(), numbered(number).c_str());
  }
}

Outcome AuditFile::append(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return path_ + ": " + reason(written < 0 ? errno : ENOSPC);
    torn_ = true;
    bytes_ += static_cast<std::uint64_t>(written);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// Not where another program has added something meanwhile: then the next line begins anew.
void AuditFile::take_back(std::uint64_t bytes) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return;
  if (static_cast<std::uint64_t>(status.st_size) != bytes_) return;
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) return;
  bytes_ = bytes;
  torn_ = false;
}

std::string AuditFile::line_of(const AuditRecord& record) const {
  if (form_ == AuditForm::kJson) return audit_json(record, source_) + '\n';
  return audit_time(record.time()) + " shmvisor[" + std::to_string(source_.pid) +
         "]: " + audit_text(record) + '\n';
}

Outcome AuditFile::write(const AuditRecord& record) {
  const std::string line = line_of(record);
  if (const auto looked = look(); !looked) return place_.path + ": " + looked.error();
  if (bytes_ != 0 && bytes_ + line.size() > place_.most_bytes) {
    if (auto room = make_room(line.size()); !room) return room;
  }
  const bool was_torn = torn_;
  const std::uint64_t before = bytes_;
  if (mark_ != nullptr) {
    mark_->device = device_;
    mark_->inode = inode_;
    mark_->bytes.store(before);
  }
  if (auto appended = append(was_torn ? '\n' + line : line); !appended) {
    if (!was_torn && bytes_ != before) take_back(before);
    return appended;
  }
  torn_ = false;
  return {};
}

/// Another process may have moved the file since, or added lines to it.
bool AuditFile::has(const AuditRecord& record, const AuditMark& mark) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  for (const std::string& path : {path_, numbered(1)}) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) continue;
    if (status.st_dev != mark.device || status.st_ino != mark.inode) continue;
    std::string behind(kMostBytes, '\0');
    const ssize_t got =
        ::pread(file.get(), behind.data(), behind.size(), static_cast<off_t>(mark.bytes.load()));
    if (got < 0) return false;
    behind.resize(static_cast<std::size_t>(got));
    return behind.find(line_of(record)) != std::string::npos;
  }
  return false;
}

}  // namespace shmvisor
