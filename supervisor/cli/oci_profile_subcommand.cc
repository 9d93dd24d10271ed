#include "supervisor/cli/oci_profile_subcommand.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <variant>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "policy/limits/container_metadata.h"
#include "policy/oci/architecture.h"
#include "policy/oci/profile_merge.h"
#include "supervisor/config/nearest.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// Larger than any profile.
constexpr std::size_t kLargestProfileBytes = std::size_t{1} << 20;

Result<std::string> read_file(const std::string& path) {
  if (path == "-") return read_to_end(STDIN_FILENO, kLargestProfileBytes);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Errno::current();
  return read_to_end(file.get(), kLargestProfileBytes);
}

int write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return 0;
  }
  spdlog::critical("cannot write the profile: {}", std::strerror(errno));
  return exit_status::kOwnFailure;
}

/// Each once, in the order of the command line.
void remove_repeated(std::vector<std::string>& texts) {
  for (auto one = texts.begin(); one != texts.end(); ++one) {
    texts.erase(std::remove(one + 1, texts.end(), *one), texts.end());
  }
}

std::string replace_architecture(std::string& name) {
  const auto found = find_architecture(name);
  if (!found) return "'" + name + "' is not served, only x86_64, x86, aarch64 and arm are";
  name = *found;
  return {};
}

}  // namespace

OciProfileSubcommand::OciProfileSubcommand(CLI::App& parent)
    : Subcommand(parent, "oci-profile",
                 "Print a seccomp profile that has containers served by the agent",
                 {.examples = "shmvisor oci-profile --metadata shmmax=64M,group=web >shm.json\n"
                              "shmvisor oci-profile --merge /usr/share/containers/seccomp.json\n"
                              "podman run --security-opt seccomp=shm.json IMAGE"}) {
  app().group("Containers");
  app()
      .add_option("--arch", wanted_.architectures,
                  "Whose calls are served: x86_64, x86, aarch64, arm. Default: both of this "
                  "machine, with --merge those of the profile")
      ->delimiter(',')
      ->transform(CLI::Validator(replace_architecture, "", "architecture"))
      ->type_name("ARCH");
  app()
      .add_option("--flags", wanted_.flags,
                  "Flags of the filter that the runtime knows: "
                  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, ..._SPEC_ALLOW, ..._LOG")
      ->delimiter(',')
      ->check([](const std::string& flag) {
        const std::vector<std::string> known(filter_flags().begin(), filter_flags().end());
        if (std::ranges::find(known, flag) != known.end()) return std::string();
        return "there is no flag '" + flag + "'" + did_you_mean(nearest_word(flag, known));
      })
      ->type_name("FLAG");
  app()
      .add_option("--listener", wanted_.listener_path,
                  "The agent's socket; " + wanted_.listener_path + " by default")
      ->check([](const std::string& path) {
        return is_listener_path(path) ? std::string()
                                      : "'" + path + "' is no absolute path for a socket";
      })
      ->type_name("PATH");
  app()
      .add_option("--metadata", wanted_.metadata,
                  "What the agent is told: shmmax=64M,shmmni=16,group=web")
      ->check([](const std::string& metadata) {
        const auto parsed = parse_container_metadata(metadata, {});
        return parsed ? std::string() : parsed.error().reason;
      })
      ->type_name("STRING");
  app()
      .add_option("--merge", merge_path_,
                  "Print this profile or config.json with ours merged into it; - is standard "
                  "input")
      ->check(check_path)
      ->type_name("FILE");
}

int OciProfileSubcommand::run(KernelFeatures&) {
  remove_repeated(wanted_.architectures);
  remove_repeated(wanted_.flags);
  if (merge_path_.empty()) return write_out(to_text(new_profile(wanted_)));
  const auto text = read_file(merge_path_);
  if (!text) {
    spdlog::critical("cannot read {}: {}", merge_path_, std::strerror(text.error().value()));
    return exit_status::kOwnFailure;
  }
  const auto merged = merge_profile(*text, wanted_);
  if (!merged) {
    spdlog::critical("cannot merge into {}: {}",
                     merge_path_ == "-" ? "standard input" : merge_path_, merged.error().reason);
    return exit_status::kOwnFailure;
  }
  return write_out(*merged);
}

}  // namespace shmvisor
