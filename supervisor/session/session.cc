#include "supervisor/session/session.h"

#include <chrono>
#include <utility>

namespace shmvisor {

std::shared_ptr<Session> Session::of_command(std::shared_ptr<SessionResources> resources,
                                             const Limits& limits, const MemoryPolicy& memory,
                                             UniqueFd ipc) {
  return std::shared_ptr<Session>(
      new Session(Of::kCommand, std::move(resources), limits, memory, 0, std::move(ipc)));
}

std::shared_ptr<Session> Session::of_others(std::shared_ptr<SessionResources> resources,
                                            const Limits& limits, std::uint32_t number) {
  return std::shared_ptr<Session>(
      new Session(Of::kOthers, std::move(resources), limits, MemoryPolicy(), number, UniqueFd()));
}

Session::Session(Of of, std::shared_ptr<SessionResources> resources, const Limits& limits,
                 const MemoryPolicy& memory, std::uint32_t number, UniqueFd ipc)
    : resources_(std::move(resources)),
      number_(number),
      descriptors_(resources_->descriptors, of == Of::kCommand
                                                ? DescriptorShare::Group::kOnly
                                                : DescriptorShare::Group::kOneOfMany),
      machine_(resources_->machine, scope_, &descriptors_),
      registries_(machine_, limits, of == Of::kCommand ? IpcNamespaces::id_of(ipc) : 0, memory),
      namespaces_(of == Of::kCommand
                      ? IpcNamespaces::of_command(registries_, scope_, descriptors_, std::move(ipc))
                      : IpcNamespaces::of_others(registries_, scope_, descriptors_)),
      open_file_shares_(std::make_shared<OpenFileShares>()),
      call_page_(of == Of::kCommand ? CallPage::create(resources_->features) : nullptr) {
  namespaces_.use(resources_->features);
  if (resources_->user_limits != nullptr) set_user_limits(resources_->user_limits);
  registries_.tell_of_cleaned(*this);
}

void Session::cleaned(const CleanedSegment& segment) noexcept {
  if (!resources_->calls.wanted()) return;
  CallEvent event;
  event.answered_at = std::chrono::system_clock::now();
  event.session = number_;
  event.ipc_namespace = segment.ipc_namespace;
  event.cleaned = segment;
  resources_->calls.add(event);
}

Session::~Session() { resources_->tally.forget_session(number_); }

ServerOptions Session::server_options() {
  ServerOptions options;
  options.budget = &resources_->budget;
  options.payer_group = number_;
  options.ring = &resources_->calls;
  options.tally = &resources_->tally;
  options.rules = &resources_->rules;
  options.call_page = call_page_.get();
  return options;
}

void Session::set_user_limits(const std::shared_ptr<const UserLimits>& limits) {
  {
    const MutexLock lock(user_limits_mutex_);
    user_limits_ = limits;
  }
  registries_.set_user_limits(limits);
}

void Session::steer(const Steering& steering, const LimitSettings& own) {
  set_user_limits(steering.user_limits);
  registries_.set_limits(steering.limits.without(own));
}

std::unique_ptr<ProcFileSystem> Session::make_files(std::shared_ptr<IpcHome> home) {
  return std::make_unique<ProcFileSystem>(namespaces_, open_file_shares_, std::move(home));
}

void Session::tell_of_need(const std::function<void()>& told) {
  machine_.release_watch().tell_of_need(told);
  namespaces_.tell_of_need(told);
}

}  // namespace shmvisor
