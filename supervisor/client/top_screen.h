// TopScreen: the terminal while `shmvisor top` has it: by ncurses.
//
// Errors: a Problem where the terminal cannot move its cursor, or there is none. Ownership: the
// destructor, and restore(), give the terminal back as it was. Thread rule: the main thread; one at
// a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "supervisor/client/run_connection.h"
#include "supervisor/client/top_page.h"

namespace shmvisor::client {

class TopScreen {
 public:
  enum class Key : std::uint8_t {
    kNone,
    kOther,
    kQuit,
    kSort,
    kUp,
    kDown,
    kPageUp,
    kPageDown,
    kRedraw
  };

  static Result<TopScreen, Problem> open();
  TopScreen(TopScreen&& other) noexcept;
  TopScreen& operator=(TopScreen&&) = delete;
  ~TopScreen() { restore(); }

  void restore();
  [[nodiscard]] std::size_t rows() const;
  [[nodiscard]] std::size_t columns() const;
  /// Asks the terminal for its size anew.
  void resize();
  void draw(const std::vector<TopPage::Line>& lines);
  /// The next key that was pressed; kNone where there is none.
  [[nodiscard]] Key key();

 private:
  explicit TopScreen(void* screen) : screen_(screen) {}

  void* screen_;  ///< of newterm(3ncurses); null: restored
};

}  // namespace shmvisor::client
