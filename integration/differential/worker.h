// Worker: does one operation at a time in a process or thread of its own.
//
// Workers share address spaces in every way that clone(2) knows, run on small stacks, and have
// their limits and credentials changed under them. So this code allocates nothing, keeps nothing
// per thread, and uses no errno but at once after a call: only one worker works at any time.
#pragma once

#include "integration/differential/protocol.h"

namespace shmvisor {

class Worker {
 public:
  explicit Worker(int index) : index_(index) {}

  /// Announces itself, then serves until told to exit.
  [[noreturn]] void run();
  /// For the new image after an exec.
  [[noreturn]] static void run_after_exec(int index);
  /// Where shmctl's buffer is in every worker.
  [[nodiscard]] static std::uint64_t buffer_address();
  /// A place in the code of every worker.
  [[nodiscard]] static std::uint64_t code_address();
  static void install_fault_handlers();

 private:
  void greet() const;
  void answer(long result) const;
  void respond(Response& response) const;
  void carry_out(const Request& request);
  void begin_process(const Request& request);
  void begin_task(const Request& request, int flags);
  void access_memory(const Request& request) const;
  void control(const Request& request) const;
  void read_proc_table() const;
  /// The last identifier it got.
  [[nodiscard]] static long churn(std::int64_t count);
  [[nodiscard]] static long set_groups(const Request& request);
  [[nodiscard]] static long set_capabilities(const Request& request);
  [[nodiscard]] static long enter_ipc_namespace(int thread);
  [[nodiscard]] static long write_sysctl(const Request& request);

  int index_;
};

}  // namespace shmvisor
