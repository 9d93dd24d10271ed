// Observed: how shmvisor is run while somebody looks: what each way of looking costs the callers.
//
// `socket`: there is a control socket, and nobody asks. `trace`: `run --trace` to a file.
// `events`: `shmvisor events` follows, and writes to a file; the command starts when it does.
//
// The two ways below are programs of their own, of which the prefix of `events` is made. They end
// with 125 where they fail. Thread rule: one thread.
#pragma once

#include <string>
#include <vector>

namespace shmvisor {

/// The names of all ways to look.
[[nodiscard]] const std::vector<std::string>& observers();

/// What is put before a command. `self` and `shmvisor` are programs; `folder` is for files of this
/// way to look.
[[nodiscard]] std::vector<std::string> observed_prefix(const std::string& observer,
                                                       const std::string& self,
                                                       const std::string& shmvisor,
                                                       const std::string& folder);

/// `shmvisor-bench --followed FOLDER SHMVISOR ARG...`: becomes SHMVISOR ARG..., whose control
/// socket is FOLDER/control, and has a process that follows events there, into FOLDER/events.
int run_followed(char** arguments);

/// `shmvisor-bench --when-followed FOLDER COMMAND...`: makes segments until FOLDER/events tells of
/// them, and becomes COMMAND.
int run_when_followed(char** arguments);

}  // namespace shmvisor
