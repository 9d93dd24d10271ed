#include "supervisor/config/config_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/config/toml_document.h"

namespace shmvisor::config {
namespace {

constexpr std::size_t kMostDropIns = 256;
/// Of a path and of a text, where they are parts of one.
constexpr char kEnd = '\0';

Problem cannot(const std::string& path, const char* what, int error) {
  return {{path}, std::string("it cannot be ") + what + ": " + std::strerror(error)};
}

}  // namespace

Result<std::vector<std::string>, Problem> configuration_files(const std::string& path) {
  std::vector<std::string> files;
  const std::string folder = path + ".d";
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder.c_str()), ::closedir);
  if (opened == nullptr && errno != ENOENT) return cannot(folder, "read", errno);
  while (opened != nullptr) {
    errno = 0;
    const dirent* const entry = ::readdir(opened.get());
    if (entry == nullptr && errno != 0) return cannot(folder, "read", errno);
    if (entry == nullptr) break;
    const std::string name(&entry->d_name[0]);
    if (name.starts_with('.') || !name.ends_with(".toml")) continue;
    if (files.size() == kMostDropIns) {
      return Problem{{folder}, "it has more than " + std::to_string(kMostDropIns) + " files"};
    }
    files.push_back(folder + "/" + name);
  }
  std::sort(files.begin(), files.end());
  files.insert(files.begin(), path);
  return files;
}

Result<std::string, Problem> read_text(const std::string& path) {
  // A FIFO would keep us waiting for its writer.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return cannot(path, "opened", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return cannot(path, "read", errno);
  if (!S_ISREG(status.st_mode)) return Problem{{path}, "it is not a regular file"};
  std::string text;
  std::array<char, 16384> some{};
  while (text.size() <= kMostTomlBytes) {  // parse_toml() refuses what is longer
    const ssize_t count = ::read(file.get(), some.data(), some.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot(path, "read", errno);
    if (count == 0) break;
    text.append(some.data(), static_cast<std::size_t>(count));
  }
  if (text.find(kEnd) != std::string::npos) return Problem{{path}, "it has a zero byte"};
  return text;
}

std::vector<FileText> read_files(const std::string& path) {
  const auto files = configuration_files(path);
  if (!files) return {{files.error().place.file, files.error()}};
  std::vector<FileText> all;
  for (const std::string& file : *files) all.push_back({file, read_text(file)});
  return all;
}

Result<std::string, Problem> as_one_text(const std::vector<FileText>& files) {
  std::string all;
  for (const FileText& file : files) {
    if (!file.text) return file.text.error();
    all += file.path + kEnd + *file.text + kEnd;
  }
  return all;
}

std::vector<FileText> from_one_text(std::string_view text) {
  std::vector<FileText> all;
  const auto next = [&text] {
    const std::size_t end = std::min(text.find(kEnd), text.size());
    std::string part(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
  };
  while (!text.empty()) {
    std::string path = next();
    all.push_back({std::move(path), next()});
  }
  return all;
}

}  // namespace shmvisor::config
