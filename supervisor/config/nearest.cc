#include "supervisor/config/nearest.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace shmvisor {
namespace {

/// Longer ones are no option of ours.
constexpr std::size_t kLongestWord = 64;

/// The optimal string alignment distance.
std::size_t distance(const std::string& one, const std::string& other) {
  std::vector<std::vector<std::size_t>> table(one.size() + 1,
                                              std::vector<std::size_t>(other.size() + 1));
  for (std::size_t i = 0; i <= one.size(); ++i) {
    for (std::size_t j = 0; j <= other.size(); ++j) {
      if (i == 0 || j == 0) {
        table[i][j] = i + j;
        continue;
      }
      const std::size_t change = one[i - 1] == other[j - 1] ? 0 : 1;
      table[i][j] =
          std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + change});
      const bool swapped =
          i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
      if (swapped) table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  }
  return table[one.size()][other.size()];
}

std::string in_small_letters(std::string word) {
  std::ranges::transform(word, word.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return word;
}

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string nearest;
  // A third of the letters may be wrong, and one of few.
  std::size_t least = std::max<std::size_t>(word.size() / 3, 1) + 1;
  const std::string meant = in_small_letters(word);
  for (const std::string& one : known) {
    const std::string other = in_small_letters(one);
    // The beginning of a word, or its end, is meant to be that word.
    const bool is_part = meant.size() >= 3 && (other.starts_with(meant) || other.ends_with(meant));
    const std::size_t far = is_part && meant != other ? 1 : distance(meant, other);
    if (far >= least) continue;
    least = far;
    nearest = one;
  }
  return nearest;
}

std::string did_you_mean(const std::string& word) {
  return word.empty() ? "" : "; did you mean '" + word + "'?";
}

}  // namespace shmvisor
