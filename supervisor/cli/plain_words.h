// What CLI11 says of a value that does not fit, in the words of this program.
//
// Thread rule: any.
#pragma once

#include <string>
#include <vector>

namespace shmvisor {

/// "fuse, hide and off"
[[nodiscard]] std::string enumerated(const std::vector<std::string>& words);

/// "--proc: fusee not in {fuse,hide,off}" becomes "--proc: 'fusee' is none of fuse, hide and off;
/// did you mean 'fuse'?"; so with a number that is out of its range, a value that is
/// missing, or no flag's, and an option that is given twice. Any other clause stays.
[[nodiscard]] std::string in_plain_words(const std::string& clause);

}  // namespace shmvisor
