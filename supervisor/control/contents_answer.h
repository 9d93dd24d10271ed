// What is answered to a client that reads or makes the memory of segments: a line, and beside it a
// descriptor by which the client does the rest. Not a byte of the memory passes through here.
//
// The descriptor is one of O_PATH: the client opens the file for moments (descriptor_path()), so
// that a client which is stopped in the middle keeps no segment in use.
//
// Thread rule: any thread but a main loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "emulation/syscalls/segment_load.h"
#include "policy/base/unique_fd.h"
#include "supervisor/control/control_request.h"
#include "supervisor/control/named_registry.h"

namespace shmvisor {

struct ControlAnswer {
  ControlAnswer(std::string its_line) : line(std::move(its_line)) {}  // NOLINT: implicit
  ControlAnswer(std::string its_line, UniqueFd its_file)
      : line(std::move(its_line)), file(std::move(its_file)) {}

  std::string line;
  UniqueFd file;  ///< most often invalid
};

/// What a client has allocated and not inserted yet; one at a time. Used by one answer at a time,
/// and goes with the client.
struct ClientLoad {
  std::shared_ptr<Session> session;  ///< from which the load borrows
  std::unique_ptr<SegmentLoad> load;
  AllocateSegment wanted;  ///< what it has asked for
};

// They may throw std::bad_alloc.

[[nodiscard]] ControlAnswer answer_open(const OpenSegment& request,
                                        const std::vector<NamedSession>& sessions);
[[nodiscard]] ControlAnswer answer_snapshot(const TakeSnapshot& request,
                                            const std::vector<NamedSession>& sessions);
[[nodiscard]] ControlAnswer answer_allocate(const AllocateSegment& request,
                                            const std::vector<NamedSession>& sessions,
                                            ClientLoad& client);
[[nodiscard]] ControlAnswer answer_insert(ClientLoad& client);

}  // namespace shmvisor
