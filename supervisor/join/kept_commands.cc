// What JoinedCommands does for the next server, and with what the last one has left.
#include <spdlog/spdlog.h>

#include <array>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "supervisor/join/join_messages.h"
#include "supervisor/join/joined_command.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {

void JoinedCommands::go_on_with(KeptVisitors& kept, CallSlots& slots,
                                std::span<const CallSlots::Left> left) {
  kept_ = &kept;
  slots_ = &slots;
  kept.for_each([&](KeptVisitor& visitor) {
    const char* why = "the server is out of memory";
    std::string refusal;
    try {
      refusal = bring_back(visitor, left);
      if (refusal.empty()) return;
      why = refusal.c_str();
    } catch (const std::bad_alloc&) {
    }
    spdlog::error("a command that has joined is not served any more: {}", why);
  });
}

/// Its descriptors are closed where it is not served.
std::string JoinedCommands::bring_back(KeptVisitor& kept, std::span<const CallSlots::Left> left) {
  const std::uint32_t state = kept.state.load();
  Admitted admitted;
  StrangersFile connection;
  connection.charge(kept.payer);
  connection.hold(UniqueFd(kept.connection));
  const UniqueFd mount(state == KeptVisitor::kAdmitted ? kept.mount : -1);
  if (state != KeptVisitor::kEnded) {
    // Under the number by which its calls are noted (CallSlots::Left).
    admitted.listener.charge(kept.payer);
    admitted.listener.hold(UniqueFd(kept.listener));
  }
  if (!kept.fuse.is_over.load()) admitted.files = UniqueFd(kept.files);
  admitted.user_namespace = UniqueFd(kept.user_namespace);
  if (!admitted.files.valid()) kept.user_namespace = -1;  // it is closed when we are done
  if (kept.ipc_namespace >= 0) admitted.ipc_namespace = UniqueFd(kept.ipc_namespace);
  KeptVisitorEnd end(&kept);
  if (admitted.ipc_namespace && inode_of(*admitted.ipc_namespace) != kept.ipc_inode) {
    return "its IPC namespace is another file";
  }
  if (state != KeptVisitor::kEnded && !is_seccomp_listener(admitted.listener.fd())) {
    return "its listener is another file";
  }
  admitted.payer = kept.payer;
  admitted.root = {kept.filters, kept.in_session, kept.pid, kept.started_ticks};
  admitted.tracer_wait = std::chrono::milliseconds(kept.tracer_wait_ms);
  admitted.kept = &kept;
  admitted.comes_back = true;
  admitted.left = left;
  int error = 0;
  if (auto refusal = serve(admitted, error); !refusal.empty()) return refusal;
  end.dismiss();
  Joined& joined = joined_.back();
  if (error != 0) {
    kept.missing_step = static_cast<std::uint8_t>(ProcMountFailure::Step::kServe);
    kept.missing_errno = error;
    kept.mount = -1;  // closed when we are done, and not sent
    if (state == KeptVisitor::kJoined) {
      spdlog::warn(
          "the files in the /proc of a command that has joined are not served any more: {}",
          std::strerror(error));
    }
  }
  if (state == KeptVisitor::kEnded) {
    joined.end();
    forget_again_.set_by(joined.ended_at);
  }
  if (state == KeptVisitor::kAdmitted) {
    // It may have had it already, and takes it as it was then.
    join::Answer answer;
    answer.accepted = 1;
    answer.missing = {static_cast<ProcMountFailure::Step>(kept.missing_step), kept.missing_errno};
    const std::array fds{mount.get()};
    const bool sends_mount = mount.valid() && error == 0;
    const bool is_sent =
        send_message(connection.get(), answer, std::span(fds).first(sends_mount ? 1 : 0)).ok();
    end_answer(kept, is_sent);
    if (!is_sent) return {};
  }
  joined.connection = std::move(connection);
  return {};
}

bool JoinedCommands::note(const Visitor& visitor, Admitted& admitted) {
  if (kept_ == nullptr) return true;
  KeptVisitor* const kept = kept_->make();
  if (kept == nullptr) return false;
  kept->payer = admitted.payer;
  kept->tracer_wait_ms = static_cast<std::uint32_t>(admitted.tracer_wait.count());
  kept->filters = admitted.root.filters;
  kept->in_session = admitted.root.in_session;
  kept->pid = admitted.root.pid;
  kept->started_ticks = admitted.root.started_ticks;
  kept->connection = visitor.connection.get();
  kept->listener = admitted.listener.get();
  kept->files = admitted.files.get();
  // Held by what covers the sysctls.
  kept->user_namespace = admitted.files.valid() ? admitted.user_namespace.get() : -1;
  if (admitted.ipc_namespace) {
    kept->ipc_namespace = admitted.ipc_namespace->get();
    kept->ipc_inode = inode_of(*admitted.ipc_namespace);
  }
  admitted.kept = kept;
  return true;
}

void JoinedCommands::begin_answer(KeptVisitor& kept, const join::Answer& answer,
                                  const UniqueFd& mount) {
  kept.mount = mount.get();
  kept.missing_step = static_cast<std::uint8_t>(answer.missing.step);
  kept.missing_errno = answer.missing.error;
  kept.state.store(KeptVisitor::kAdmitted);
}

/// Before the mount is closed, and the connection of a visitor that is gone.
void JoinedCommands::end_answer(KeptVisitor& kept, bool is_sent) {
  if (!is_sent) kept.connection = -1;
  kept.state.store(KeptVisitor::kJoined);
}

}  // namespace shmvisor
