// The files of the page of `shmvisor web`, from the folder web/: CMake makes web_assets.cc of them.
#pragma once

#include <string_view>

namespace shmvisor::client {

extern const std::string_view kWebPage;
extern const std::string_view kWebStyle;
extern const std::string_view kWebScript;

}  // namespace shmvisor::client
