// Of processors that have no call page for sites to lead into: no call is made at one.
#include "supervisor/inject/arch/call_site.h"

namespace shmvisor::call_site {

bool is_site(Word /*word*/, std::uint8_t /*before*/, int /*number*/) { return false; }

std::optional<Word> with_jump(Word /*word*/, std::uint64_t /*site*/, std::uint64_t /*stub*/) {
  return std::nullopt;
}

Stub stub(std::uint64_t /*after_site*/, std::uint64_t /*entry*/) { return {}; }

std::uint64_t place_of_stubs(std::uint64_t /*site*/, std::uint64_t /*drawn*/) { return 0; }

}  // namespace shmvisor::call_site
