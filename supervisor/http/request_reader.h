// RequestReader: makes a request of the bytes that a client sends. They may be anything, and come
// in any pieces.
//
// The grammar is http_parser's (Debian's libhttp-parser); the bounds are ours. What is no GET or
// HEAD, has a body or a target that is no path is refused. So is a second Host field (RFC 9112,
// 3.2), and a request of HTTP/1.1 without one.
//
// Ownership: must not be moved. Thread rule: one thread.
#pragma once

#include <http_parser.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/http/http_request.h"

namespace shmvisor {

class RequestReader {
 public:
  /// Of the line and the fields of a request together.
  static constexpr std::size_t kMostBytes = 8192;

  RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// What comes behind the request is ignored.
  void take(std::string_view bytes);

  /// Whether the request is whole, or refused.
  [[nodiscard]] bool done() const { return complete_ || status_ != 0; }
  /// The status to refuse it with; 0 where it is a request.
  [[nodiscard]] int refusal() const { return status_; }
  [[nodiscard]] const HttpRequest& request() const { return request_; }
  [[nodiscard]] bool began() const { return taken_bytes_ != 0; }

 private:
  static int add_to_target(http_parser* parser, const char* text, std::size_t bytes);
  static int add_to_field(http_parser* parser, const char* text, std::size_t bytes);
  static int add_to_value(http_parser* parser, const char* text, std::size_t bytes);
  static int end_of_fields(http_parser* parser);
  static int end_of_message(http_parser* parser);

  void finish_field();
  void check();

  http_parser parser_{};
  std::size_t taken_bytes_ = 0;
  std::string target_;
  std::string field_;  ///< in small letters
  std::string value_;
  bool in_value_ = false;
  std::optional<std::string> host_;
  HttpRequest request_;
  bool complete_ = false;
  int status_ = 0;
};

}  // namespace shmvisor
