#include "supervisor/client/top_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

// Its macros have the names of others' functions.
#define NCURSES_NOMACROS
#include <curses.h>
#include <term.h>

#undef columns
#undef lines

namespace shmvisor::client {
namespace {

constexpr const char* kInstead = "use shmvisor ls, report or serve-metrics there";

/// A sentence where it cannot show a page.
std::string what_it_lacks() {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
    return std::string("top needs a terminal; ") + kInstead;
  }
  const char* const name = std::getenv("TERM");
  const std::string terminal = name == nullptr ? "" : printable(name);
  int error = 0;
  // It exits where no place for an error is given.
  if (terminal.empty() || ::setupterm(terminal.c_str(), STDOUT_FILENO, &error) != OK) {
    return "nothing is known of the terminal '" + terminal +
           "': TERM is not set, or its description is missing (package ncurses-base); " + kInstead;
  }
  static char kMove[] = "cup";
  const char* const move = ::tigetstr(kMove);
  const bool can_move = move != nullptr && reinterpret_cast<std::intptr_t>(move) != -1;
  if (can_move) return {};
  return "the terminal '" + terminal + "' cannot move its cursor; " + kInstead;
}

attr_t attributes_of(TopPage::Style style) {
  switch (style) {
    case TopPage::Style::kTitle:
      return A_REVERSE | A_BOLD;
    case TopPage::Style::kHeading:
      return A_REVERSE;
    case TopPage::Style::kWarning:
      return A_BOLD;
    case TopPage::Style::kPlain:
      break;
  }
  return A_NORMAL;
}

}  // namespace

Result<TopScreen, Problem> TopScreen::open() {
  if (auto lack = what_it_lacks(); !lack.empty()) return Problem{std::move(lack)};
  SCREEN* const screen = ::newterm(nullptr, stdout, stdin);
  if (screen == nullptr) return Problem{std::string("the terminal cannot be used; ") + kInstead};
  ::set_term(screen);
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::curs_set(0);
  ::set_escdelay(50);
  TopScreen opened(screen);
  opened.resize();
  return opened;
}

TopScreen::TopScreen(TopScreen&& other) noexcept : screen_(std::exchange(other.screen_, nullptr)) {}

void TopScreen::restore() {
  if (screen_ == nullptr) return;
  ::endwin();
  ::delscreen(static_cast<SCREEN*>(std::exchange(screen_, nullptr)));
  (void)std::fflush(stdout);
}

std::size_t TopScreen::rows() const {
  return static_cast<std::size_t>(std::max(::getmaxy(stdscr), 1));
}

std::size_t TopScreen::columns() const {
  return static_cast<std::size_t>(std::max(::getmaxx(stdscr), 1));
}

void TopScreen::resize() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return;
  ::resizeterm(size.ws_row, size.ws_col);
  ::clearok(stdscr, TRUE);
}

void TopScreen::draw(const std::vector<TopPage::Line>& lines) {
  ::werase(stdscr);
  const std::size_t shown = std::min(lines.size(), rows());
  for (std::size_t row = 0; row < shown; ++row) {
    const attr_t attributes = attributes_of(lines[row].style);
    std::string text = lines[row].text.substr(0, columns());
    // A reversed line goes to the edge.
    if ((attributes & A_REVERSE) != 0) text.resize(columns(), ' ');
    ::wattrset(stdscr, static_cast<int>(attributes));
    ::mvwaddnstr(stdscr, static_cast<int>(row), 0, text.c_str(), static_cast<int>(text.size()));
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

TopScreen::Key TopScreen::key() {
  constexpr int kControlL = 12;
  switch (::wgetch(stdscr)) {
    case ERR:
      return Key::kNone;
    case 'q':
    case 'Q':
      return Key::kQuit;
    case 's':
      return Key::kSort;
    case KEY_UP:
    case 'k':
      return Key::kUp;
    case KEY_DOWN:
    case 'j':
      return Key::kDown;
    case KEY_PPAGE:
      return Key::kPageUp;
    case KEY_NPAGE:
    case ' ':
      return Key::kPageDown;
    case kControlL:
      return Key::kRedraw;
    default:
      return Key::kOther;
  }
}

}  // namespace shmvisor::client
