// How JoinedCommands serves a command that it has admitted.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "supervisor/join/joined_command.h"

namespace shmvisor {
namespace {

/// Of one joined command, which may be hostile: all commands share the threads.
constexpr int kMostThreads = 256;
constexpr int kMostThreadsOfAnotherUser = 8;
/// Its listener, files, the timer of its threads, a pidfd, its IPC and user namespace; and those of
/// callers that are remembered. The connection pays for itself.
constexpr std::int64_t kDescriptorsOfAJoined = 6;

}  // namespace

std::string JoinedCommands::serve(Admitted& admitted, int& error) {
  const std::size_t remembered =
      std::min(static_cast<std::size_t>(session_->plan().remembered_joined_callers),
               ThreadIdentities::kMostOfOthers);
  auto descriptors = session_->descriptors().take(
      admitted.payer, kDescriptorsOfAJoined + static_cast<std::int64_t>(remembered));
  // A command that comes back has them already; in another order it might have got fewer.
  if (!descriptors && !admitted.comes_back)
    return "its user has its share of the server's descriptors already";
  ServerOptions options = session_->server_options();
  options.most_threads = admitted.payer == ::geteuid() || admitted.payer == 0
                             ? kMostThreads
                             : kMostThreadsOfAnotherUser;
  options.most_remembered = remembered;
  options.remembered = Remembered::kThreads;
  options.tracer_wait = admitted.tracer_wait;
  if (slots_ != nullptr) options.most_waiting_of_user = CallSlots::kMostWaitingOfUser;
  std::list<Joined> newcomer;
  ServerPool::Client client;
  KeptVisitorEnd end(admitted.kept);
  options.home = session_->namespaces().take_in_joiner(std::move(admitted.ipc_namespace));
  if (!label_.empty()) options.containers.push_back(label_);
  // All that needs memory comes before it is served.
  Joined& joined = newcomer.emplace_back(admitted.payer);
  joined.kept = admitted.kept;
  joined.home = options.home;
  if (admitted.files.valid()) {
    joined.covers = std::make_shared<SysctlCovers>(std::move(admitted.user_namespace));
    options.on_namespace_change = [covers = joined.covers](pid_t tid, uid_t user) {
      covers->cover(tid, user);
    };
    joined.files = session_->make_files(options.home);
  }
  admitted.listener.charge(admitted.payer);
  if (descriptors) {
    admitted.listener.pay(descriptors->split(1));
    joined.descriptors = std::move(*descriptors);
  }
  joined.root.emplace(*scope_, admitted.root);
  client.session = session_;
  client.options = options;
  client.slots = slots_;
  client.left = admitted.left;
  client.ended = [this, &joined] {
    joined.end();
    forget_again_.set_by(joined.ended_at);
  };
  // How its callers wait only they can show: it may say what it likes.
  auto wait_kind = WaitKind::kUnknown;
  if (admitted.kept != nullptr) {
    client.wait_kind = &admitted.kept->wait_kind;
    wait_kind = static_cast<WaitKind>(client.wait_kind->load());
  }
  if (admitted.listener.valid() && !pool_->add(admitted.listener, wait_kind, std::move(client))) {
    return "the server cannot watch another listener";
  }
  // From here on it is served until it ends.
  end.dismiss();
  joined_.splice(joined_.end(), newcomer);
  error = serve_files(joined, admitted);
  return {};
}

int JoinedCommands::serve_files(Joined& joined, Admitted& admitted) noexcept {
  if (joined.files == nullptr) return 0;
  int error = ENOMEM;
  try {
    FuseBeginning* const beginning = admitted.kept == nullptr ? nullptr : &admitted.kept->fuse;
    const auto started = joined.files->start(std::move(admitted.files), beginning);
    error = started ? 0 : started.error().value();
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
  }
  if (error != 0 && admitted.kept != nullptr) admitted.kept->fuse.is_over.store(true);
  return error;
}

}  // namespace shmvisor
