// Interpreter: carries a sequence out over worker processes, one operation at a time, and has what
// it sees written down.
//
// All workers are its own children (CLONE_PARENT), whoever began them, so that it sees each end and
// goes on only when the kernel is done with it.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "integration/differential/operation.h"
#include "integration/differential/process_table.h"
#include "integration/differential/protocol.h"
#include "integration/differential/transcript_writer.h"
#include "integration/differential/worker_links.h"

namespace shmvisor {

class Interpreter {
 public:
  /// `first_user`: kUsers user ids from there are this run's own.
  explicit Interpreter(uid_t first_user) : first_user_(first_user), writer_(first_user) {}

  /// The transcript, to its end or to where the run could not go on, which its last line then says.
  [[nodiscard]] std::string run(const Sequence& sequence);

 private:
  void start_first_worker();
  void end_all();
  void step(const Operation& operation);
  void carry_out(const Operation& operation);

  [[nodiscard]] Request request_for(const Operation& operation) const;
  [[nodiscard]] std::int64_t resolve(const Operand& operand) const;

  void begin_worker(const Operation& operation);
  void end_workers(const Operation& operation);
  void exec(const Operation& operation);
  void detach(const Operation& operation);
  void store(const Operation& operation, const Response& response);
  void resume(const std::vector<int>& workers);
  void wait_for_end(int process);
  void wait_for_thread_end(const WorkerTask& task) const;
  void greeted(int worker, const Response& response);

  void show_maps(pid_t thread);
  void show_status(pid_t thread);
  void show_attach(const Operation& operation, const Request& request, const Response& response);
  void show_shmctl(const Operation& operation, const Request& request, const Response& response);
  void show_proc_table(const Operation& operation, const std::string& text);
  /// `prefix` of the fields' names.
  void count_mappings(const std::string& segment, const std::string& prefix);
  [[nodiscard]] std::string segment_name(int worker, std::int64_t id) const;
  void follow_namespaces(const Operation& operation);

  const uid_t first_user_;
  TranscriptWriter writer_;
  ProcessTable table_;
  WorkerLinks links_;
  /// The IPC namespace each is in, numbered as they come.
  std::array<int, kMaxWorkers> namespaces_{};
  int namespace_count_ = 1;
  std::map<int, pid_t> processes_;  ///< by the table's number
  std::vector<pid_t> zombies_;
  std::array<std::int64_t, kSegmentNames> segments_{};
  std::array<std::int64_t, kAttachNames> attaches_{};
  std::size_t step_number_ = 0;
  /// Set once mappings may have been split: how many there are is then shown beside nattch.
  bool splits_ = false;
};

}  // namespace shmvisor
