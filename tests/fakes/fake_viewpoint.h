// FakeViewpoint: namespaces that show every id `id_offset` lower, and processes of `pid_namespace`.
#pragma once

#include "emulation/ipc/viewpoint.h"

namespace shmvisor {

class FakeViewpoint : public Viewpoint {
 public:
  static constexpr std::uint32_t kOverflowId = 65534;

  uid_t show_uid(uid_t uid) override { return show(uid); }
  gid_t show_gid(gid_t gid) override { return show(gid); }
  std::optional<uid_t> mean_uid(uid_t shown) override { return mean(shown); }
  std::optional<gid_t> mean_gid(gid_t shown) override { return mean(shown); }
  pid_t show_pid(const PidRecord& process) override {
    if (pid_namespace == 0) return process.pid;
    if (process.inner == nullptr) return 0;
    for (const PidRecord::Inner& inner : *process.inner) {
      if (inner.pid_namespace == pid_namespace) return inner.pid;
    }
    return 0;
  }

  /// Ids from `id_offset` on, `id_count` of them, are shown from 0 on.
  std::uint32_t id_offset = 0;
  std::uint32_t id_count = ~std::uint32_t{0};
  std::uint64_t pid_namespace = 0;  ///< 0: the supervisor's

 private:
  [[nodiscard]] std::uint32_t show(std::uint32_t id) const {
    return id - id_offset < id_count ? id - id_offset : kOverflowId;
  }
  [[nodiscard]] std::optional<std::uint32_t> mean(std::uint32_t shown) const {
    if (shown >= id_count) return std::nullopt;
    return shown + id_offset;
  }
};

}  // namespace shmvisor
