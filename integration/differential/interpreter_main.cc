// interpreter FIRST_USER: executes the sequence on standard input and prints the transcript.
// interpreter --worker N: a worker after an exec.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "integration/differential/interpreter.h"
#include "integration/differential/worker.h"

namespace {

std::string read_standard_input() {
  std::string text;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

bool write_standard_output(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (put <= 0) return false;
    done += static_cast<std::size_t>(put);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace shmvisor;
  if (argc == 3 && std::strcmp(argv[1], "--worker") == 0)
    Worker::run_after_exec(std::atoi(argv[2]));
  if (argc != 2) {
    std::fputs("usage: interpreter FIRST_USER <SEQUENCE >TRANSCRIPT\n", stderr);
    return 2;
  }
  const int program = ::open("/proc/self/exe", O_RDONLY);
  if (program < 0 || ::dup2(program, kProgramFd) < 0) return 2;
  ::close(program);
  std::string bad_line;
  const auto sequence = parse_sequence(read_standard_input(), bad_line);
  if (!sequence) {
    std::fprintf(stderr, "cannot understand: %s\n", bad_line.c_str());
    return 2;
  }
  Interpreter interpreter(static_cast<uid_t>(std::strtoul(argv[1], nullptr, 10)));
  return write_standard_output(interpreter.run(*sequence)) ? 0 : 1;
}
