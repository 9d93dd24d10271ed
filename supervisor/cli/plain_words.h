// What CLI11 says of a value that does not fit, in the words of this program.
//
// Thread rule: any.
#pragma once

#include <string>

namespace shmvisor {

/// "--proc: fusee not in {fuse,hide,off}" becomes "--proc: 'fusee' is none of fuse, hide and off;
/// did you mean 'fuse'?"; so with a number that is out of its range, and with a value that is
/// missing. Any other clause stays.
[[nodiscard]] std::string in_plain_words(const std::string& clause);

}  // namespace shmvisor
