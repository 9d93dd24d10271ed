#include <limits>
#include <string_view>

#include "policy/limits/limits.h"
#include "supervisor/cli/client_subcommands.h"
#include "supervisor/cli/limit_options.h"
#include "supervisor/cli/real_number.h"
#include "supervisor/client/saved_files.h"
#include "supervisor/config/accounts.h"
#include "supervisor/config/config_problem.h"
#include "supervisor/config/number_text.h"
#include "supervisor/http/listening_place.h"

namespace shmvisor {
namespace {

// A title in helps.
constexpr const char* kWhichRun = "Which run or agent, where several have a control socket";

}  // namespace

void ClientSubcommand::add_registry_option() {
  app()
      .add_option("--registry", options_.registry,
                  "Only main, a container's id, group:NAME or ipc:[INODE]")
      ->type_name("NAME")
      ->group(kWhichRun);
}

void ClientSubcommand::add_quiet_flag(const std::string& description) {
  app().add_flag("-q,--quiet", options_.quiet, description)->excludes(app().get_option("--json"));
}

void ClientSubcommand::add_all_flag(const std::string& description) {
  app().add_flag("-a,--all", options_.all, description);
}

void ClientSubcommand::add_svg_flag() {
  app()
      .add_flag("--svg", options_.svg, "A picture, and no text for Graphviz")
      ->excludes(app().get_option("--json"));
}

void ClientSubcommand::add_output_option() {
  app()
      .add_option("-o,--output", options_.output, "Write to this file")
      ->check(check_path)
      ->type_name("FILE");
  add_connected_option();
}

void ClientSubcommand::add_program_option() {
  app()
      .add_option("--to", options_.program,
                  "This program; by default the one that is now where the running one was")
      ->check(check_path)
      ->type_name("BINARY");
}

void ClientSubcommand::add_connected_option() {
  app().add_option("--connected", connected_)->group("");  // for SideClient
  app().add_flag("--goes-on", options_.goes_on)->group("");
}

void ClientSubcommand::add_file() {
  app()
      .add_option("FILE", options_.output,
                  "The file; an older one stays until the new one is whole")
      ->check(check_path)
      ->required()
      ->type_name("FILE")
      ->group("Where");
  add_connected_option();
}

void ClientSubcommand::add_delay_option() {
  constexpr double kLeast = 0.1;
  constexpr double kMost = 3600;
  app()
      .add_option("-d,--delay", options_.delay_seconds, "Look so often; every second by default")
      ->check(real_number(kLeast, kMost))
      ->type_name("SECONDS");
}

void ClientSubcommand::add_listen_option(const std::string& by_default) {
  options_.place = by_default;
  app()
      .add_option("--listen", options_.place,
                  "Listen there: an address and a port, or the path of a Unix socket. Default: " +
                      by_default)
      ->check(ListeningPlace::check)
      ->type_name("PLACE");
}

CLI::Option* ClientSubcommand::add_key(CLI::App& to, const char* description) {
  return to
      .add_option_function<std::string>(
          "--key",
          [this](const std::string& text) {
            char* end = nullptr;
            const unsigned long long key = std::strtoull(text.c_str(), &end, 0);
            if (*end != '\0' || key == 0 || key > UINT32_MAX) {
              throw CLI::ValidationError("--key", "'" + text + "' is no key, as 0x4d2 or 1234");
            }
            options_.key = static_cast<std::uint32_t>(key);
          },
          description)
      ->type_name("KEY");
}

void ClientSubcommand::add_load_options() {
  constexpr const char* kGroup = "The new segment";
  add_key(app(), "Its key, 0x4d2 or 1234; IPC_PRIVATE by default")->group(kGroup);
  app()
      .add_option_function<std::string>(
          "--mode",
          [this](const std::string& text) {
            constexpr unsigned long kMost = 0777;
            char* end = nullptr;
            const unsigned long mode = std::strtoul(text.c_str(), &end, 8);
            const bool is_octal =
                !text.empty() && text.find_first_not_of("01234567") == std::string::npos;
            if (!is_octal || mode > kMost) {
              throw CLI::ValidationError("--mode", "'" + text + "' is no mode, as 640");
            }
            options_.mode = static_cast<unsigned>(mode);
          },
          "Its permissions, in octal digits; 600 by default")
      ->type_name("MODE")
      ->group(kGroup);
  using config::AccountKind;
  const auto add_id = [&](const char* name, std::optional<std::uint32_t>& id, AccountKind kind,
                          const char* description) {
    app()
        .add_option_function<std::string>(
            name,
            [name, &id, kind](const std::string& text) {
              const auto meant = config::Accounts().parse(kind, text);
              if (!meant) throw CLI::ValidationError(name, meant.error().reason);
              id = *meant;
            },
            description)
        ->type_name(kind == AccountKind::kUser ? "USER" : "GROUP")
        ->group(kGroup);
  };
  add_id("--uid", options_.uid, AccountKind::kUser,
         "Its owner and creator, by name or number; the run's user by default");
  add_id("--gid", options_.gid, AccountKind::kGroup, "Its group; the run's by default");
  app()
      .add_option_function<std::string>(
          "--size",
          [this](const std::string& text) {
            const auto size = parse_size(text);
            if (!size) throw CLI::ValidationError("--size", config::no_size(text));
            options_.size_bytes = *size;
          },
          "Its size, in bytes (K, M, G, T); that of the input by default")
      ->type_name("SIZE")
      ->group(kGroup);
}

void ClientSubcommand::add_detach_options() {
  app()
      .add_option("--process", options_.process, "Out of this process alone")
      ->check(CLI::Range(1, std::numeric_limits<int>::max()))
      ->type_name("PID");
  app()
      .add_option("--signal", options_.signal,
                  "What access raises from then on: SIGSEGV, the default, or SIGBUS")
      ->check(CLI::IsMember({"SIGSEGV", "SIGBUS"}))
      ->type_name("SIGNAL");
}

void ClientSubcommand::add_selection() {
  constexpr const char* kGroup = "Which segments (one of these)";
  CLI::Option_group* const one = app().add_option_group("segments");
  one->add_option("ID", options_.numbers, "Those with these identifiers")
      ->group(kGroup)
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
  add_key(*one, "The one with this key, 0x4d2 or 1234")->group(kGroup);
  one->add_flag("-a,--all", options_.all, "All")->group(kGroup);
  one->add_flag("--orphans", options_.orphans, "Those that nobody maps, and whose users have ended")
      ->group(kGroup);
  one->require_option(1);
}

void ClientSubcommand::add_new_limits() {
  // In a group, of which the environment is not asked: SHMVISOR_SHMMAX is what a run begins with.
  CLI::Option_group* const some = app().add_option_group("limits");
  const auto add = [some](const char* name, std::optional<std::uint64_t>& limit, auto parse,
                          const char* description, const char* type) {
    some->add_option_function<std::string>(
            name,
            [name, &limit, parse](const std::string& text) {
              const auto number = parse(text);
              if (!number) {
                throw CLI::ValidationError(name, name == std::string("--shmmni")
                                                     ? config::no_shmmni(text)
                                                     : config::no_size(text));
              }
              limit = *number;
            },
            description)
        ->type_name(type)
        ->group(kLimitsGroup);
  };
  add("--shmmax", options_.shmmax, parse_size, "Largest new segment, in bytes (K, M, G, T)",
      "SIZE");
  add("--shmall", options_.shmall, parse_size, "All segments together, in 4 KiB pages", "PAGES");
  add("--shmmni", options_.shmmni, parse_shmmni, "Most segments at a time, up to 32768", "NUMBER");
  some->require_option(1, 0);
}

void ClientSubcommand::add_number(const std::string& name, const std::string& description,
                                  bool required) {
  app()
      .add_option_function<int>(
          name, [this](int number) { options_.number = number; }, description)
      ->group("Which")
      ->required(required)
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
}

}  // namespace shmvisor
