#include "supervisor/control/contents_answer.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "supervisor/control/protocol.h"
#include "supervisor/kernel/lasting_pid.h"
#include "supervisor/kernel/version.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/serve/call_log.h"
#include "supervisor/session/registry_snapshot.h"

namespace shmvisor {
namespace {

using control::Refusal;
using control::to_line;

std::string no_memory(const char* what) {
  return Refusal{"no-memory", std::string(what) + ": descriptors or memory are short"}.line();
}

std::string refusal_of(Errno error, const Denial& denial) {
  if (error == Errno(EEXIST)) {
    return Refusal{"key-exists", "there is a segment with this key, or it is just being made"}
        .line();
  }
  if (denial.known()) return Refusal{"refused", describe(denial)}.line();
  return no_memory("no segment can be made");
}

/// All memory here is the Machine's.
Result<UniqueFd> reference_to(BackingMemory& memory) {
  return static_cast<MemfdMemory&>(memory).reference();
}

}  // namespace

ControlAnswer answer_open(const OpenSegment& request, const std::vector<NamedSession>& sessions) {
  const auto registry = find_registry(sessions, request.registry);
  if (registry == nullptr) return no_such_registry(request.registry).line();
  registry->settle_id(request.shmid);
  const auto found = registry->read()->find(request.shmid);
  if (!found) return no_such_segment(request.shmid).line();
  auto file = reference_to((*found)->memory());
  if (!file) return no_memory("it cannot be opened");
  return {to_line({{"reply", "open"},
                   {"registry", request.registry},
                   {"shmid", request.shmid},
                   {"segsz", (*found)->size_bytes()}}),
          std::move(*file)};
}

ControlAnswer answer_snapshot(const TakeSnapshot& request,
                              const std::vector<NamedSession>& sessions) {
  const auto registry = find_registry(sessions, request.registry);
  if (registry == nullptr) return no_such_registry(request.registry).line();
  auto snapshot = take_snapshot(*registry, program_version());
  if (!snapshot) return no_memory("no snapshot can be taken");
  return {to_line({{"reply", "snapshot"},
                   {"registry", request.registry},
                   {"segments", snapshot->segments},
                   {"dest", snapshot->doomed}}),
          std::move(snapshot->file)};
}

ControlAnswer answer_allocate(const AllocateSegment& request,
                              const std::vector<NamedSession>& sessions, ClientLoad& client) {
  client.load.reset();  // the one before, which it did not insert
  client.session.reset();
  const auto [session, registry] = find_with_session(sessions, request.registry);
  if (registry == nullptr) return no_such_registry(request.registry).line();
  // Made by us: it is nobody's orphan as long as the run lasts.
  SegmentLoad::Wanted wanted;
  wanted.key = static_cast<key_t>(request.key);
  wanted.size_bytes = request.size_bytes;
  wanted.mode = request.mode;
  wanted.uid = request.uid.value_or(::geteuid());
  wanted.gid = request.gid.value_or(::getegid());
  wanted.maker.pid = lasting_pid();
  wanted.creator.tid = lasting_pid();
  Denial denial;
  auto load = SegmentLoad::begin(registry, wanted, denial);
  if (!load) return refusal_of(load.error(), denial);
  auto file = reference_to((*load)->memory());
  if (!file) return no_memory("it cannot be opened");
  client.session = session;
  client.load = std::move(*load);
  client.wanted = request;
  return {to_line({{"reply", "allocate"}, {"registry", request.registry}}), std::move(*file)};
}

ControlAnswer answer_insert(ClientLoad& client) {
  if (client.load == nullptr) {
    return Refusal{"nothing-allocated", "this client has allocated no segment"}.line();
  }
  const auto session = std::move(client.session);
  const auto load = std::move(client.load);
  Denial denial;
  const auto shmid = load->insert(denial);
  if (!shmid) return refusal_of(shmid.error(), denial);
  spdlog::info("a control client loads segment {} of {}", *shmid, client.wanted.registry);
  return to_line({{"reply", "insert"}, {"registry", client.wanted.registry}, {"shmid", *shmid}});
}

}  // namespace shmvisor
