// TopPage: what `shmvisor top` shows, as lines of text: totals, rates, bars, and the segments.
//
// Rates are those between the last two views. Every line fits the columns, and the lines fit the
// rows. Names are printable (RunConnection, printable()).
//
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/client/sampler.h"
#include "supervisor/client/user_names.h"

namespace shmvisor::client {

class TopPage {
 public:
  enum class Style : std::uint8_t { kPlain, kTitle, kHeading, kWarning };
  struct Line {
    std::string text;
    Style style = Style::kPlain;
  };
  enum class Order : std::uint8_t { kSize, kAttaches, kIdentifier };
  /// creator_of()
  using CreatorOf = std::function<std::string(const Json& segment)>;

  explicit TopPage(CreatorOf creator_of) : creator_of_(std::move(creator_of)) {}

  void add(RunView view);
  /// A sentence about the run, until the next view: that it does not answer.
  void complain(const std::string& sentence) { complaint_ = sentence; }

  // What the keys do:

  void next_order();
  /// By as many segments; negative: back.
  void scroll(int segments);

  [[nodiscard]] std::vector<Line> lines(std::size_t rows, std::size_t columns);

 private:
  void add_totals(std::vector<Line>& lines) const;
  void add_calls(std::vector<Line>& lines, std::size_t columns) const;
  void add_registries(std::vector<Line>& lines, std::size_t columns, std::size_t most) const;
  void add_segments(std::vector<Line>& lines, std::size_t columns, std::size_t rows);
  [[nodiscard]] std::string row(const Json& segment, std::size_t columns) const;
  void sort();
  [[nodiscard]] double seconds_between() const;

  const CreatorOf creator_of_;
  const UserNames users_;
  std::optional<RunView> last_;
  std::optional<RunSample> before_;
  std::chrono::steady_clock::time_point before_taken_at_;
  std::string complaint_;
  Order order_ = Order::kSize;
  std::size_t first_ = 0;  ///< segment that is shown
};

/// "[####      ]", `width` wide in all.
[[nodiscard]] std::string bar(double fraction, std::size_t width);

}  // namespace shmvisor::client
