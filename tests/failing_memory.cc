#include "tests/failing_memory.h"

#include <cstdlib>
#include <new>

namespace shmvisor {

void* FailingMemory::allocate(std::size_t bytes) {
  failed_ = failed_ || left_ == 0;
  if (left_ == 0) throw std::bad_alloc();
  if (left_ > 0) --left_;
  void* const made = std::malloc(bytes == 0 ? 1 : bytes);  // NOLINT: what operator new is made of
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace shmvisor

// All forms but those of over-aligned types, since a sanitizer has its own of those that are left
// out. NOLINTBEGIN
void* operator new(std::size_t bytes) { return shmvisor::FailingMemory::allocate(bytes); }
void* operator new[](std::size_t bytes) { return shmvisor::FailingMemory::allocate(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t& /*form*/) noexcept {
  try {
    return shmvisor::FailingMemory::allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t bytes, const std::nothrow_t& form) noexcept {
  return operator new(bytes, form);
}
void operator delete(void* made) noexcept { std::free(made); }
void operator delete[](void* made) noexcept { std::free(made); }
void operator delete(void* made, std::size_t /*bytes*/) noexcept { std::free(made); }
void operator delete[](void* made, std::size_t /*bytes*/) noexcept { std::free(made); }
void operator delete(void* made, const std::nothrow_t& /*form*/) noexcept { std::free(made); }
void operator delete[](void* made, const std::nothrow_t& /*form*/) noexcept { std::free(made); }
// NOLINTEND
