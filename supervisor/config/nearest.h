// The word that a misspelt one was most likely meant to be.
#pragma once

#include <string>
#include <vector>

namespace shmvisor {

/// Of `known` the one that begins or ends so, or has the fewest letters to insert, remove, change
/// or swap with a neighbour, whether they are small or capital; empty where all are too far off to
/// be meant.
[[nodiscard]] std::string nearest_word(const std::string& word,
                                       const std::vector<std::string>& known);

/// How a sentence goes on that says what there is not: "; did you mean 'WORD'?", or "" where the
/// word is empty.
[[nodiscard]] std::string did_you_mean(const std::string& word);

}  // namespace shmvisor
