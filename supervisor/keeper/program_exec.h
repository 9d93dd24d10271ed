// Another program in this process: what a keeper hands over (KeptStore) and execs, and the way back
// where that program cannot go on.
//
// The words and the environment are those of the first start. Descriptors that are handed over are
// open in the new program, which then sets close-on-exec again.
//
// Errors: a clause. Thread rule: the main thread, while it is the only one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

/// What the environment says that this program was begun with; taken out of it. False: it is to
/// end, and has said why.
[[nodiscard]] bool begin_program();
/// The same of `shmvisor resume-check FD WORD...`. The words that are left in `words` are those of
/// the program that asks.
[[nodiscard]] bool begin_check(std::vector<char*>& words);

/// Where the program that asks reads that we could go on.
void say_that_we_can_go_on(const std::string& version);
[[nodiscard]] std::string words_of_who_can_go_on();

/// Replaces this program. Returns where that fails: why. `inherited`: descriptors besides those of
/// the store.
[[nodiscard]] std::string exec_program(const UniqueFd& program,
                                       const std::vector<std::string>& words,
                                       const std::vector<int>& inherited);
/// In the child that exec_program() is to be tried in: never returns. Its standard output and
/// error are `output`.
[[noreturn]] void exec_check(const UniqueFd& program, const std::vector<std::string>& words,
                             const UniqueFd& handover, const std::vector<int>& descriptors,
                             const UniqueFd& output);

/// This program has begun to serve: there is no way back.
void stay_with_program();
/// Descriptors that stay_with_program() closes.
[[nodiscard]] std::vector<int> way_back();
/// This program cannot go on: the last one does, where there is a way back. Says why, and does not
/// return where it is only asked.
void go_back(const std::string& why);

/// The words that this process was started with, proc_pid_cmdline(5).
[[nodiscard]] std::vector<std::string> words_of_this_process();
/// Those that this process is permitted, capabilities(7), one bit each.
[[nodiscard]] std::uint64_t permitted_capabilities();

}  // namespace shmvisor
