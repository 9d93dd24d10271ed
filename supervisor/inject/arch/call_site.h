// Call sites: the places in a program's own code that make the calls which map and unmap, and the
// jumps that lead from there into the CallPage's code.
//
// A site is a load of the call's number and, right behind it, the instruction that enters the
// kernel. The load alone is replaced, by a jump of the same size; so a thread that comes to the
// second instruction from elsewhere, or is in it, does not notice. The jump reaches no further than
// 2 GiB, and so leads to a stub near by, of which each site has one of its own: it says where the
// caller goes on.
//
// Implemented once for each architecture, in a folder beside this file, or in none/. Nothing of it
// is run here. Thread rule: constants and plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace shmvisor::call_site {

/// Of the site: what lies before the address that its call returns to.
inline constexpr std::size_t kBytes = 7;
/// A word of memory that holds a site in its lowest bytes.
using Word = std::uint64_t;

/// Whether `word` is a site of the call with this number. `before`: the byte before it, which may
/// make another instruction of it.
[[nodiscard]] bool is_site(Word word, std::uint8_t before, int number);
/// `word` with the jump in it, from a site at `site` to `stub`. Nothing where that is too far.
[[nodiscard]] std::optional<Word> with_jump(Word word, std::uint64_t site, std::uint64_t stub);

inline constexpr std::size_t kStubWords = 3;
using Stub = std::array<Word, kStubWords>;
/// Leads to `entry`, of the page's code, a caller that is to go on at `after_site`.
[[nodiscard]] Stub stub(std::uint64_t after_site, std::uint64_t entry);

/// Where stubs for `site` may lie, the same for its neighbours: a page. `drawn`: a random number,
/// the same for all of a run. It is below the program's own code, where no heap grows to.
[[nodiscard]] std::uint64_t place_of_stubs(std::uint64_t site, std::uint64_t drawn);

}  // namespace shmvisor::call_site
