// Another program in this process: what a keeper hands over (KeptStore) and execs, and the way back
// where that program cannot go on.
//
// The words and the environment are those of the first start. Descriptors that are handed over are
// open in the new program, which then sets close-on-exec again.
//
// Errors: a clause. Thread rule: the main thread, while it is the only one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// What the environment says that this program was begun with; taken out of it. `may_go_on`: its
/// words are some that a keeper is started with. False: it is to end, and has said why.
[[nodiscard]] bool begin_program(bool may_go_on);
/// The same of `shmvisor resume-check FD PID WORD...`. The words that are left in `words` are those
/// of the program that asks, which is process PID.
[[nodiscard]] bool begin_check(std::vector<char*>& words);
/// Whether this program goes on since the one after it could not.
[[nodiscard]] bool went_back();

/// Where the program that asks reads that we could go on.
void say_that_we_can_go_on(const std::string& version);
[[nodiscard]] std::string words_of_who_can_go_on();

/// Replaces this program. Returns where that fails: why. `inherited`: descriptors besides those of
/// the store.
[[nodiscard]] std::string exec_program(const UniqueFd& program,
                                       const std::vector<std::string>& words,
                                       const std::vector<int>& inherited);
/// In the child that exec_program() is to be tried in: it ends with its parent from now on, and
/// after kMostCheckSeconds at the latest.
void bound_check();
/// The same child: never returns. Its standard output and error are `output`. `asker`: its parent.
/// Of `inherited` it hands over what is open still: the server closes files meanwhile.
[[noreturn]] void exec_check(const UniqueFd& program, const std::vector<std::string>& words,
                             const UniqueFd& handover, const std::vector<int>& inherited,
                             const UniqueFd& output, pid_t asker);
constexpr unsigned kMostCheckSeconds = 60;

/// This program has begun to serve: there is no way back.
void stay_with_program();
/// Descriptors that stay_with_program() closes.
[[nodiscard]] std::vector<int> way_back();
/// This program cannot go on: the last one does, where there is a way back. Says why, and does not
/// return where it is only asked.
void go_back(const std::string& why);

/// The words that this process was started with, proc_pid_cmdline(5).
[[nodiscard]] std::vector<std::string> words_of_this_process();

}  // namespace shmvisor
