#include "supervisor/audit/audit_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace shmvisor {

Result<std::unique_ptr<AuditFile>> AuditFile::open(Place place, AuditForm form,
                                                   AuditSource source) {
  std::unique_ptr<AuditFile> made(new AuditFile(std::move(place), form, std::move(source)));
  if (const auto opened = made->open_file(); !opened) return opened.error();
  return made;
}

/// Not to wait for the other end of a pipe; another kind of file is not for lines that rotate.
Result<void> AuditFile::open_file() {
  constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  UniqueFd file(::open(place_.path.c_str(), kFlags, S_IRUSR | S_IWUSR));
  if (!file.valid()) return Errno::current();
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Errno::current();
  if (!S_ISREG(status.st_mode)) return Errno(S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  file_ = std::move(file);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  char last = '\n';
  (void)!::pread(file_.get(), &last, 1, status.st_size - 1);
  torn_ = last != '\n';
  return {};
}

bool AuditFile::was_moved() const {
  struct stat status {};
  if (::stat(place_.path.c_str(), &status) != 0) return errno == ENOENT;
  return status.st_dev != device_ || status.st_ino != inode_;
}

bool AuditFile::rotate() {
  const auto numbered = [this](unsigned number) {
    return number == 0 ? place_.path : place_.path + "." + std::to_string(number);
  };
  if (place_.kept == 0 && ::unlink(place_.path.c_str()) != 0) return false;
  for (unsigned number = place_.kept; number > 0; --number) {
    const bool moved = ::rename(numbered(number - 1).c_str(), numbered(number).c_str()) == 0;
    if (!moved && (errno != ENOENT || number == 1)) return false;
  }
  return open_file().ok();
}

bool AuditFile::append(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    torn_ = true;
    bytes_ += static_cast<std::uint64_t>(written);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
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

bool AuditFile::write(const AuditRecord& record) {
  const std::string line = line_of(record);
  if (was_moved() && !open_file()) return false;
  const bool is_full = bytes_ != 0 && bytes_ + line.size() > place_.most_bytes;
  if (is_full && !rotate()) return false;
  const bool was_torn = torn_;
  const std::uint64_t before = bytes_;
  if (!append(was_torn ? '\n' + line : line)) {
    if (!was_torn && bytes_ != before) take_back(before);
    return false;
  }
  torn_ = false;
  return true;
}

}  // namespace shmvisor
