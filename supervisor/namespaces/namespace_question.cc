#include "supervisor/namespaces/namespace_question.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

/// Another thread may take the number that was to be ours.
constexpr int kMostTries = 100;

file_handle* as_handle(std::byte* bytes) { return reinterpret_cast<file_handle*>(bytes); }

}  // namespace

std::optional<NamespaceQuestion> NamespaceQuestion::of(int file, KernelFeatures& features) {
  if (!features.usable(KernelFeature::kNamespaceHandles)) return std::nullopt;
  NamespaceQuestion question;
  file_handle* const handle = as_handle(question.handle_.data());
  static_assert(kHandleBytes == sizeof(file_handle) + MAX_HANDLE_SZ);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (::name_to_handle_at(file, "", handle, &mount, AT_EMPTY_PATH) != 0) {
    if (errno == EOPNOTSUPP) features.mark_absent(KernelFeature::kNamespaceHandles);
    return std::nullopt;
  }
  // While it is sure to be there.
  const UniqueFd same(question.open(O_PATH));
  if (same.get() == -EBADF) features.mark_absent(KernelFeature::kNamespaceHandles);
  if (!same.valid()) return std::nullopt;
  question.placeholder_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!question.placeholder_.valid()) return std::nullopt;
  question.file_ = file;
  return question;
}

int NamespaceQuestion::open(int flags) {
  const int opened =
      ::open_by_handle_at(FD_NSFS_ROOT, as_handle(handle_.data()), flags | O_CLOEXEC);
  return opened < 0 ? -errno : opened;
}

NamespaceQuestion::Answer NamespaceQuestion::ask() {
  // The kernel closes what was there before this returns.
  if (::dup3(placeholder_.get(), file_, O_CLOEXEC) < 0) return Answer::kLives;
  return ask_again();
}

NamespaceQuestion::Answer NamespaceQuestion::ask_again() {
  for (int tries = 0; tries < kMostTries; ++tries) {
    // With O_PATH nobody is asked whether it may be opened (fanotify(7)).
    const UniqueFd opened(open(O_PATH));
    if (opened.get() == -ESTALE) return Answer::kGone;
    if (opened.valid() && ::dup3(opened.get(), file_, O_CLOEXEC) >= 0) return Answer::kLives;
  }
  return Answer::kNotHeld;
}

void NamespaceQuestion::open_in_full() const {
  const UniqueFd opened(::open(descriptor_path(file_).c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.valid()) (void)::dup3(opened.get(), file_, O_CLOEXEC);
}

}  // namespace shmvisor
