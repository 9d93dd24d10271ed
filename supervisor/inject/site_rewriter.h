// SiteRewriter: has the call site that a held caller came from lead into the call page, so that its
// later calls need no stop (arch/call_site.h, CallFromSite).
//
// A site is rewritten on the occasion of a stop that happens anyway, once a thread has come from
// sites so often while its process had the page. The kernel copies the page of code: neither the
// file nor another process sees the change. Children by fork inherit it, an exec ends it. A site
// stays as it is
// - where it is not known for one, byte by byte, or its memory is writable or shared;
// - where the caller's address space has another thread, of whatever process, which might be about
//   to run what changes (unshare(2) with CLONE_VM tells);
// - where the caller has a filter besides ours, or system call user dispatch, or is not to complete
//   calls by itself;
// - where no page for its stub can be had near by.
//
// Ownership: borrows what it is given. Thread rule: the thread that received the call.
#pragma once

#include <cstdint>
#include <optional>

#include "supervisor/inject/arch/call_site.h"
#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class SiteRewriter {
 public:
  SiteRewriter(CallerHold& hold, const PageRunner& page, KernelFeatures& features)
      : hold_(hold), page_(page), features_(features) {}

  /// Attaches, or detaches, of a thread before this one's site is rewritten; or twice as many, and
  /// so on, where it could not be.
  static constexpr int kCallsBefore = 16;

  /// Counts the call, and rewrites its site if it is time to. Precondition: the caller is held, and
  /// has the page.
  void rewrite_if_due();

 private:
  [[nodiscard]] bool is_due() const;
  /// The site in its word; nothing where it is none that may be rewritten.
  [[nodiscard]] std::optional<call_site::Word> site_at(std::uint64_t site) const;
  /// Whether it lies in code that is the caller's alone.
  [[nodiscard]] bool is_own_code(std::uint64_t site) const;
  /// Of its process. Asked first, so that a process that execs is not kept from it.
  [[nodiscard]] bool has_other_threads() const;
  [[nodiscard]] bool has_other_filter() const;
  /// Whether no other task has the caller's address space.
  [[nodiscard]] bool is_alone() const;
  /// Where the site's stub is, in a page that is mapped if there is none.
  [[nodiscard]] std::optional<std::uint64_t> stub_for(std::uint64_t site) const;
  [[nodiscard]] bool make_page_of_stubs(std::uint64_t page) const;
  /// A stub of the page that is the same, or that was free. Nothing where all are taken.
  [[nodiscard]] std::optional<std::uint64_t> stub_in(std::uint64_t page,
                                                     const call_site::Stub& stub) const;
  /// Answers the address, where the stub is now.
  std::optional<std::uint64_t> write(std::uint64_t address, const call_site::Stub& stub) const;

  CallerHold& hold_;
  const PageRunner& page_;
  KernelFeatures& features_;
};

}  // namespace shmvisor
