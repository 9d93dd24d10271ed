// StrangersFile: sole owner of a descriptor whose last close(2) may wait for a stranger: of a file
// that a stranger has or had, too, or of a socket to which one may send files. Another process
// closes it (LastCloses), so that no thread of ours waits.
//
// The other side of a connection sees the end at once. A connection in which nothing waits to be
// received is closed here: it drops nothing.
//
// Errors: making one throws std::bad_alloc, nothing else does. So it is made before there is a
// stranger's descriptor for it. Ownership: as a UniqueFd. Thread rule: one thread at a time.
#pragma once

#include <sys/types.h>

#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/resources/last_closes.h"

namespace shmvisor {

class StrangersFile {
 public:
  /// With room for a descriptor.
  StrangersFile() : file_(1) {}
  StrangersFile(StrangersFile&& other) noexcept { file_.swap(other.file_); }
  StrangersFile& operator=(StrangersFile&& other) noexcept {
    file_.swap(other.file_);
    return *this;
  }
  StrangersFile(const StrangersFile&) = delete;
  StrangersFile& operator=(const StrangersFile&) = delete;
  ~StrangersFile() { close(); }

  /// Of a descriptor that is there already; closed here where there is no memory.
  [[nodiscard]] static StrangersFile of(UniqueFd fd);
  /// Like a StrangersFile that was moved from.
  [[nodiscard]] static StrangersFile none() noexcept { return StrangersFile(LastCloses::Files()); }
  /// The next connection of a listening socket. Errors: those of accept_connection().
  [[nodiscard]] static Result<StrangersFile> accept(const UniqueFd& listening);

  [[nodiscard]] bool valid() const { return get() >= 0; }
  [[nodiscard]] int get() const { return file_.empty() ? -1 : file_.front().fd.get(); }

  // Not of a StrangersFile that was moved from:

  [[nodiscard]] const UniqueFd& fd() const { return file_.front().fd; }
  /// Once.
  void hold(UniqueFd fd) { file_.front().fd = std::move(fd); }
  /// The user whose files wait, when others of that user's cannot be closed.
  void charge(uid_t payer) { file_.front().payer = payer; }
  /// What its user pays, until it is closed here.
  void pay(DescriptorShare::Part part) {
    file_.front().part = std::move(part);
    file_.front().is_paid = true;
  }
  /// Gives back what was paid, but for the descriptor itself.
  void pay_for_itself() {
    if (file_.front().is_paid) file_.front().part = file_.front().part.split(1);
  }

 private:
  explicit StrangersFile(LastCloses::Files none) noexcept { file_.swap(none); }
  void close() noexcept;

  LastCloses::Files file_;  ///< none: moved from
};

}  // namespace shmvisor
