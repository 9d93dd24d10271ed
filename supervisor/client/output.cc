#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "policy/base/unique_fd.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

constexpr mode_t kNewFile = 0666;  // and what the umask leaves

bool is_fifo(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

void print(const std::string& text) { (void)std::fwrite(text.data(), 1, text.size(), stdout); }

void print_json(const Json& object) {
  print(object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n");
}

std::string counted(std::uint64_t number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

std::string output_name(const ShowOptions& options) {
  return options.output.empty() ? "standard output" : options.output;
}

Result<void, Problem> redirect(const ShowOptions& options) {
  if (options.output.empty()) return {};
  const auto trouble = [&options](int error) {
    if (error == ENXIO && is_fifo(options.output)) return Problem{"nobody reads " + options.output};
    return Problem{"cannot write " + options.output + ": " + std::strerror(error)};
  };
  // Nobody waits here until somebody reads: fifo(7).
  const UniqueFd file(::open(options.output.c_str(),
                             O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                                 (options.goes_on ? 0 : O_TRUNC),
                             kNewFile));
  if (!file.valid()) return trouble(errno);
  const int flags = ::fcntl(file.get(), F_GETFL);
  if (flags < 0 || ::fcntl(file.get(), F_SETFL, flags & ~O_NONBLOCK) != 0 ||
      ::dup2(file.get(), STDOUT_FILENO) < 0) {
    return trouble(errno);
  }
  return {};
}

}  // namespace shmvisor::client
