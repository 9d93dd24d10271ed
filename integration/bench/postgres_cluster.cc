#include "integration/bench/postgres_cluster.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "integration/bench/interruption.h"
#include "integration/bench/statistics.h"
#include "integration/bench/worker_run.h"

namespace shmvisor {
namespace {

using std::chrono::seconds;

constexpr uid_t kServerUser = 65534;
constexpr const char* kPort = "5432";  // of the socket's name; nothing listens on TCP
constexpr const char* kScale = "10";   // a million rows

std::vector<std::string> as_server_user(std::vector<std::string> command) {
  if (::geteuid() != 0) return command;
  const std::string id = std::to_string(kServerUser);
  std::vector<std::string> words = {"setpriv", "--reuid",        id,  "--regid",
                                    id,        "--clear-groups", "--"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

/// Debian keeps the server's programs off the PATH, by version.
std::string find_programs() {
  std::vector<std::string> folders;
  std::error_code error;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", error)) {
    const std::string folder = version.path().string() + "/bin";
    if (::access((folder + "/postgres").c_str(), X_OK) == 0 &&
        ::access((folder + "/initdb").c_str(), X_OK) == 0 &&
        ::access((folder + "/pgbench").c_str(), X_OK) == 0) {
      folders.push_back(folder);
    }
  }
  return folders.empty() ? std::string() : *std::max_element(folders.begin(), folders.end());
}

/// The number behind the last `mark`.
Outcome number_after(const std::string& text, const std::string& mark) {
  const std::size_t at = text.rfind(mark);
  if (at == std::string::npos) return Outcome::none("no '" + mark + "' in the output");
  return Outcome::of(std::strtod(text.c_str() + at + mark.size(), nullptr));
}

}  // namespace

std::string PostgresCluster::make() {
  programs_ = find_programs();
  if (programs_.empty()) return "PostgreSQL is missing (Debian package postgresql)";
  if (folder_.path().empty()) return "no temporary folder";
  if (::geteuid() == 0 && ::chown(folder_.path().c_str(), kServerUser, kServerUser) != 0) {
    return "cannot give the folder to the server's user";
  }
  const Finished made = run_to_end(
      as_server_user({programs_ + "/initdb", "-D", folder_.path() + "/data", "-U", "bench", "-A",
                      "trust", "--no-sync", "--no-locale", "-E", "UTF8", "--no-instructions"}));
  if (!made.ok()) return "initdb: " + made.complaint();
  if (std::string why_not = configure(); !why_not.empty()) return why_not;
  std::string failed_filling;
  std::string failed = with_server({}, [this, &failed_filling] {
    const Finished done = run_to_end(client_command("pgbench", {"-i", "-q", "-s", kScale}));
    if (!done.ok()) failed_filling = "pgbench -i: " + done.complaint();
  });
  return failed.empty() ? failed_filling : failed;
}

std::string PostgresCluster::configure() {
  std::ofstream file(folder_.path() + "/data/postgresql.conf", std::ios::app);
  file << "shared_memory_type = sysv\n"
          "dynamic_shared_memory_type = sysv\n"
          "unix_socket_directories = '"
       << folder_.path()
       << "'\n"
          "listen_addresses = ''\n"
          "shared_buffers = 256MB\n"
          "fsync = off\n"
          "autovacuum = off\n"
          "log_min_messages = fatal\n"
          "max_parallel_workers_per_gather = 2\n"
          "parallel_setup_cost = 0\n"
          "parallel_tuple_cost = 0\n"
          "min_parallel_table_scan_size = 0\n";
  return file.good() ? std::string() : "cannot configure the server";
}

std::vector<std::string> PostgresCluster::server_command(
    const std::vector<std::string>& prefix) const {
  std::vector<std::string> command = prefix;
  const auto server =
      as_server_user({programs_ + "/postgres", "-D", folder_.path() + "/data", "-p", kPort});
  command.insert(command.end(), server.begin(), server.end());
  return command;
}

std::vector<std::string> PostgresCluster::client_command(
    const std::string& program, const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {
      programs_ + "/" + program, "-h", folder_.path(), "-p", kPort, "-U", "bench"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.emplace_back("postgres");
  return command;
}

std::string PostgresCluster::with_server(const std::vector<std::string>& prefix,
                                         const std::function<void()>& clients) {
  auto server = Launched::start(server_command(prefix));
  if (!server) return "the server cannot be started";
  if (wait_until_ready(*server)) {
    clients();
    if (!stop(*server)) return "the server is not to be found among the processes";
  } else if (server->running()) {
    return "the server did not become ready";
  }
  const Finished finished = server->finish(seconds(30));
  return finished.ok() ? std::string() : "server: " + finished.complaint();
}

bool PostgresCluster::wait_until_ready(const Launched& server) const {
  for (int i = 0; i < 200 && server.running() && interruption() == 0; ++i) {
    if (run_to_end(client_command("pg_isready", {"-q", "-d"}), seconds(10)).ok()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

bool PostgresCluster::stop(const Launched& server) const {
  std::ifstream file(folder_.path() + "/data/postmaster.pid");
  pid_t pid = 0;
  // In a PID namespace the number would be of another process, and not ours to signal.
  return file >> pid && server.has_descendant(pid) && ::kill(pid, SIGINT) == 0;
}

std::vector<Outcome> PostgresCluster::measure(const Placement& placement) {
  if (!std::exchange(made_, true)) why_not_ = make();
  if (!why_not_.empty()) return {2, Outcome::none(why_not_)};
  std::vector<Outcome> outcomes;
  const std::string failed = with_server(placement.prefix, [&] {
    outcomes.push_back(parallel_scan());  // fills the buffers
    outcomes.push_back(select(placement.budget));
  });
  if (!failed.empty()) return {2, Outcome::none(failed)};
  return outcomes;
}

Outcome PostgresCluster::select(std::chrono::milliseconds budget) const {
  const auto whole_seconds = std::max<std::int64_t>(budget.count() / 40, 1);
  const Finished finished = run_to_end(client_command(
      "pgbench", {"-S", "-n", "-c", "4", "-j", "2", "-T", std::to_string(whole_seconds)}));
  if (!finished.ok()) return Outcome::none(finished.complaint());
  return number_after(finished.output, "tps = ");
}

Outcome PostgresCluster::parallel_scan() const {
  constexpr int kScans = 9;
  std::vector<std::string> arguments = {"-X", "-q", "-c", "\\timing on"};
  for (int i = 0; i < kScans; ++i) {
    arguments.insert(arguments.end(),
                     {"-c", "select count(*), sum(abalance) from pgbench_accounts"});
  }
  arguments.emplace_back("-d");
  const Finished finished = run_to_end(client_command("psql", arguments));
  if (!finished.ok()) return Outcome::none(finished.complaint());
  std::vector<double> times_ns;
  std::istringstream lines(finished.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Time: ", 0) != 0) continue;
    times_ns.push_back(std::strtod(line.c_str() + 6, nullptr) * 1e6);
  }
  const auto summary = summarize(times_ns);
  return summary ? Outcome::of(summary->median) : Outcome::none("psql printed no time");
}

}  // namespace shmvisor
