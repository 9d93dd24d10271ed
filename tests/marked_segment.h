// A segment whose pages tell it from others.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "emulation/shm/segment.h"
#include "supervisor/memory/machine.h"

namespace shmvisor {

/// Every page of it begins with `mark`.
inline std::shared_ptr<Segment> marked_segment(Machine& machine, std::uint64_t pages, char mark) {
  constexpr std::uint64_t kPageBytes = 4096;
  BackingRequest request;
  request.name = "SYSV00000000";
  request.size_bytes = pages * kPageBytes;
  auto memory = machine.create_memory(request);
  EXPECT_TRUE(memory);
  Segment::Creation creation;
  creation.size_bytes = request.size_bytes;
  auto segment = std::make_shared<Segment>(std::move(creation), std::move(*memory));
  for (std::uint64_t page = 0; page < pages; ++page) {
    EXPECT_TRUE(segment->memory().write_at(page * kPageBytes, std::as_bytes(std::span(&mark, 1))));
  }
  return segment;
}

}  // namespace shmvisor
