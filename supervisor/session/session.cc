#include "supervisor/session/session.h"

#include <utility>

#include "supervisor/credentials/thread_identity.h"

namespace shmvisor {

std::shared_ptr<Session> Session::of_command(std::shared_ptr<SessionResources> resources,
                                             const Limits& limits, const MemoryPolicy& memory) {
  return std::shared_ptr<Session>(
      new Session(Of::kCommand, std::move(resources), limits, memory, 0));
}

std::shared_ptr<Session> Session::of_others(std::shared_ptr<SessionResources> resources,
                                            const Limits& limits, std::uint32_t number) {
  return std::shared_ptr<Session>(
      new Session(Of::kOthers, std::move(resources), limits, MemoryPolicy(), number));
}

Session::Session(Of of, std::shared_ptr<SessionResources> resources, const Limits& limits,
                 const MemoryPolicy& memory, std::uint32_t number)
    : resources_(std::move(resources)),
      number_(number),
      descriptors_(resources_->descriptors, of == Of::kCommand
                                                ? DescriptorShare::Group::kOnly
                                                : DescriptorShare::Group::kOneOfMany),
      machine_(resources_->machine, scope_, &descriptors_),
      registries_(machine_, limits, of == Of::kCommand ? NamespaceIds::ours().ipc : 0, memory),
      namespaces_(of == Of::kCommand ? IpcNamespaces(registries_, scope_, &descriptors_)
                                     : IpcNamespaces::of_others(registries_, scope_, descriptors_)),
      open_file_shares_(std::make_shared<OpenFileShares>()),
      call_page_(of == Of::kCommand ? CallPage::create(resources_->features) : nullptr) {}

ServerOptions Session::server_options() {
  ServerOptions options;
  options.budget = &resources_->budget;
  options.payer_group = number_;
  options.call_page = call_page_.get();
  return options;
}

std::unique_ptr<ProcFileSystem> Session::make_files(std::shared_ptr<IpcHome> home) {
  return std::make_unique<ProcFileSystem>(namespaces_, open_file_shares_, std::move(home));
}

void Session::tell_of_need(const std::function<void()>& told) {
  machine_.release_watch().tell_of_need(told);
  namespaces_.tell_of_need(told);
}

}  // namespace shmvisor
