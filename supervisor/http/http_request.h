// HttpRequest, HttpAnswer: one request of HTTP/1.1 without a body, and what answers it.
//
// Source: RFC 9110 and RFC 9112. Thread rule: plain values.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shmvisor {

struct HttpRequest {
  std::string path;    ///< "/metrics": what is before '?', as it was sent
  std::string host;    ///< of the Host field; empty where there was none
  std::string accept;  ///< of the Accept field
  bool head = false;   ///< HEAD, and not GET
};

struct HttpAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  /// Besides Content-Type, Content-Length and Connection.
  std::vector<std::pair<std::string, std::string>> fields = {};
};

/// Whether `host`, of a Host field, is an address in digits or "localhost". A page of a stranger
/// whose name was made to mean this machine (DNS rebinding) sends that name.
[[nodiscard]] bool is_address_or_localhost(const std::string& host);

}  // namespace shmvisor
