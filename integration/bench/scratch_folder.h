// ScratchFolder: a private folder for temporary files, removed with all that is in it.
//
// Errors: path() is empty where it could not be made. Thread rule: one thread.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace shmvisor {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "shmvisor-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return;
    path_ = std::move(name);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace shmvisor
