#include "supervisor/http/http_request.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace shmvisor {

bool is_address_or_localhost(const std::string& host) {
  std::string name = host;
  in6_addr address{};
  if (!name.empty() && name.front() == '[') {
    const std::size_t end = name.find(']');
    if (end == std::string::npos) return false;
    const std::string rest = name.substr(end + 1);
    name = name.substr(1, end - 1);
    if (!rest.empty() && rest.front() != ':') return false;
    return ::inet_pton(AF_INET6, name.c_str(), &address) == 1;
  }
  const std::size_t colon = name.find(':');
  if (colon != std::string::npos) {
    const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
    if (!std::all_of(name.begin() + static_cast<std::ptrdiff_t>(colon) + 1, name.end(), is_digit)) {
      return false;
    }
    name.resize(colon);
  }
  std::transform(name.begin(), name.end(), name.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return name == "localhost" || ::inet_pton(AF_INET, name.c_str(), &address) == 1;
}

}  // namespace shmvisor
