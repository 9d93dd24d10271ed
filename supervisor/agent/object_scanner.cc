#include "supervisor/agent/object_scanner.h"

namespace shmvisor {
namespace {

bool is_white_space(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

}  // namespace

ObjectScanner::Found ObjectScanner::scan(std::string_view bytes) {
  for (const char byte : bytes) {
    if (found_ == Found::kGarbage) break;
    found_ = step(byte);
  }
  return found_;
}

ObjectScanner::Found ObjectScanner::step(char byte) {
  if (found_ == Found::kEnd || depth_ == 0) {
    if (is_white_space(byte)) return found_;
    if (found_ == Found::kEnd || byte != '{') return Found::kGarbage;
    depth_ = 1;
    return Found::kMore;
  }
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
    }
    return Found::kMore;
  }
  switch (byte) {
    case '"':
      in_string_ = true;
      return Found::kMore;
    case '{':
    case '[':
      return ++depth_ > kDeepest ? Found::kGarbage : Found::kMore;
    case '}':
    case ']':
      return --depth_ == 0 ? Found::kEnd : Found::kMore;
    default:
      return Found::kMore;
  }
}

}  // namespace shmvisor
