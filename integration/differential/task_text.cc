#include "integration/differential/task_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "policy/base/unique_fd.h"

namespace shmvisor {

std::string proc_text(pid_t thread, const char* name) {
  const std::string path = "/proc/" + std::to_string(thread) + "/" + name;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  if (!fd.valid() || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return {};
  return text.data();
}

std::string status_field(const std::string& status, const char* name) {
  const std::size_t at = status.find(name);
  if (at == std::string::npos) return "none";
  const std::size_t begin = at + std::strlen(name);
  std::string value = status.substr(begin, status.find('\n', begin) - begin);
  std::erase_if(value, [](char letter) { return letter == ' ' || letter == '\t'; });
  return value;
}

}  // namespace shmvisor
