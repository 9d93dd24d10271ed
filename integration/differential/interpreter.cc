#include "integration/differential/interpreter.h"

#include <linux/shm.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "integration/differential/task_text.h"
#include "integration/differential/test_maps.h"
#include "integration/differential/worker.h"

namespace shmvisor {
namespace {

constexpr int kPatienceSeconds = 30;
constexpr std::int64_t kFirstGroup = 0;

bool may_split(Kind kind) {
  return kind == Kind::kMprotect || kind == Kind::kMremap || kind == Kind::kMadvise ||
         kind == Kind::kMlock || kind == Kind::kMunlock || kind == Kind::kRemapFilePages ||
         kind == Kind::kMlockall || kind == Kind::kMunlockall || kind == Kind::kMunmap;
}

}  // namespace

std::string Interpreter::run(const Sequence& sequence) {
  try {
    start_first_worker();
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      writer_.begin_line(i);
      step_number_ = i;
      step(sequence[i]);
      writer_.end_line();
    }
    writer_.field("end", "reached");
  } catch (const BrokenRun& broken) {
    writer_.field("broken", broken.why);
  }
  writer_.end_line();
  end_all();
  return writer_.take();
}

void Interpreter::start_first_worker() {
  links_.open();
  const pid_t pid = ::fork();
  if (pid == 0) {
    Worker::install_fault_handlers();
    // The real user is of the run's own: what it locks is charged to nobody else.
    ::setresgid(kFirstGroup, kFirstGroup, kFirstGroup);
    ::setresuid(first_user_, 0, 0);
    Worker(0).run();
  }
  if (pid < 0) throw BrokenRun{"fork"};
  links_.task_of(0) = {pid, pid};
  greeted(0, links_.receive(0).response);
}

void Interpreter::end_all() {
  for (const auto& [number, pid] : processes_) ::kill(pid, SIGKILL);
  for (const auto& [number, pid] : processes_) ::waitpid(pid, nullptr, __WALL);
  for (const pid_t pid : zombies_) ::waitpid(pid, nullptr, __WALL);
}

void Interpreter::step(const Operation& operation) {
  if (!table_.applicable(operation)) return writer_.field("result", "skipped");
  splits_ |= may_split(operation.kind);
  switch (operation.kind) {
    case Kind::kTick:
      writer_.tick();
      return writer_.field("result", "0");
    case Kind::kMaps:
      return show_maps(links_.task_of(operation.worker).thread);
    case Kind::kStatus:
      return show_status(links_.task_of(operation.worker).thread);
    case Kind::kFork:
    case Kind::kVfork:
    case Kind::kCloneVm:
    case Kind::kThread:
      return begin_worker(operation);
    case Kind::kExit:
    case Kind::kExitThread:
    case Kind::kKill:
      return end_workers(operation);
    case Kind::kExec:
      return exec(operation);
    case Kind::kShmdt:
      return detach(operation);
    default:
      return carry_out(operation);
  }
}

void Interpreter::detach(const Operation& operation) {
  const pid_t thread = links_.task_of(operation.worker).thread;
  // What a detach takes away depends on the pieces it finds.
  std::vector<TestMapping> before;
  if (splits_) before = TestMaps::read(thread);
  const Request request = request_for(operation);
  const Response response = links_.converse(operation.worker, request).response;
  writer_.result(operation, response);
  writer_.field("address", address_text(static_cast<std::uint64_t>(request.arguments[0])));
  if (response.error != 0 || !splits_) return;
  for (const TestMapping& mapping : before) writer_.mapping(mapping, "was");
  show_maps(thread);
}

void Interpreter::carry_out(const Operation& operation) {
  const Request request = request_for(operation);
  const WorkerAnswer answer = links_.converse(operation.worker, request);
  const Response& response = answer.response;
  writer_.result(operation, response);
  switch (operation.kind) {
    case Kind::kShmat:
      show_attach(operation, request, response);
      break;
    case Kind::kShmctl:
      show_shmctl(operation, request, response);
      break;
    case Kind::kProcTable:
      if (response.error == 0) show_proc_table(operation, answer.text);
      break;
    default:
      break;
  }
  if (response.error == 0 && response.signal == 0) {
    store(operation, response);
    follow_namespaces(operation);
  }
}

void Interpreter::store(const Operation& operation, const Response& response) {
  if (operation.store < 0) return;
  const auto place = static_cast<std::size_t>(operation.store);
  const Base stores = info_of(operation.kind).stores;
  if (stores == Base::kSegment) segments_[place] = response.result;
  if (stores == Base::kAttach) attaches_[place] = response.result;
}

std::int64_t Interpreter::resolve(const Operand& operand) const {
  const auto index = static_cast<std::size_t>(operand.index);
  switch (operand.base) {
    case Base::kNumber:
      return operand.offset;
    case Base::kSegment:
      return segments_[index] + operand.offset;
    case Base::kAttach:
      return attaches_[index] + operand.offset;
    case Base::kWindow:
      return static_cast<std::int64_t>(kWindowBase + index * kWindowBytes) + operand.offset;
    case Base::kUser:
      return std::int64_t{first_user_} + operand.index;
    case Base::kWorker:
      return operand.index;
    case Base::kBuffer:
      return static_cast<std::int64_t>(Worker::buffer_address());
  }
  return 0;
}

Request Interpreter::request_for(const Operation& operation) const {
  Request request;
  request.kind = operation.kind;
  request.through_ipc = step_number_ % 2 == 0 ? 0 : 1;
  for (std::size_t i = 0; i < kMostOperands; ++i) {
    request.arguments[i] = resolve(operation.operands[i]);
  }
  if (operation.kind == Kind::kMmap) request.arguments[4] = -1;  // no file
  const int target = operation.target();
  if (operation.kind == Kind::kSetnsIpc && target >= 0) {
    request.thread = links_.task_of(target).thread;
  }
  return request;
}

void Interpreter::greeted(int worker, const Response& response) {
  links_.task_of(worker) = {response.process, response.thread};
  const int number = table_.worker(worker).process;
  processes_[number] = response.process;
  writer_.name_process(response.process, number);
}

void Interpreter::begin_worker(const Operation& operation) {
  const int child = operation.target();
  table_.apply(operation);
  Request request = request_for(operation);
  request.child = child;
  request.child_stack = table_.worker(child).stack;
  links_.send(operation.worker, request);
  if (operation.kind != Kind::kVfork) {
    const Response begun = links_.receive(operation.worker).response;
    if (begun.error != 0) throw BrokenRun{TranscriptWriter::error_text(begun.error)};
  }
  // The parent in a vfork answers only where there is no child.
  if (operation.kind == Kind::kVfork) {
    links_.task_of(child) = links_.task_of(operation.worker);
  } else {
    links_.task_of(child) = {};
  }
  namespaces_[static_cast<std::size_t>(child)] =
      namespaces_[static_cast<std::size_t>(operation.worker)];
  greeted(child, links_.receive(child).response);
  writer_.field("result", "0");
}

void Interpreter::exec(const Operation& operation) {
  const ProcessTable::Effects effects = table_.apply(operation);
  const Response response = links_.converse(operation.worker, request_for(operation)).response;
  writer_.result(operation, response);
  if (response.error != 0) throw BrokenRun{"exec"};
  greeted(operation.worker, response);
  resume(effects.resumed);
}

void Interpreter::end_workers(const Operation& operation) {
  const WorkerTask self = links_.task_of(operation.worker);
  const bool thread_only =
      operation.kind == Kind::kExitThread && !table_.last_of_process(operation.worker);
  if (operation.kind == Kind::kKill) {
    ::kill(links_.task_of(operation.target()).process, SIGKILL);
  } else {
    links_.send(operation.worker, request_for(operation));
  }
  const ProcessTable::Effects effects = table_.apply(operation);
  for (const int process : effects.ended_processes) wait_for_end(process);
  if (thread_only) wait_for_thread_end(self);
  resume(effects.resumed);
  writer_.field("result", "0");
}

void Interpreter::resume(const std::vector<int>& workers) {
  for (const int worker : workers) {
    const Response response = links_.receive(worker).response;
    writer_.field("resumed.p" + std::to_string(worker), std::to_string(response.error));
    if (response.error != 0) throw BrokenRun{TranscriptWriter::error_text(response.error)};
  }
}

void Interpreter::wait_for_end(int process) {
  const pid_t pid = processes_.at(process);
  // Half of them stay zombies for a while.
  const bool reap = process % 2 == 0;
  siginfo_t info{};
  for (int tries = 0; tries < kPatienceSeconds * 1000; ++tries) {
    if (::waitid(P_PID, static_cast<id_t>(pid), &info,
                 WEXITED | __WALL | WNOHANG | (reap ? 0 : WNOWAIT)) != 0) {
      throw BrokenRun{"waitid"};
    }
    if (info.si_pid != 0) {
      writer_.field("ended.P" + std::to_string(process), std::to_string(info.si_status));
      processes_.erase(process);
      if (!reap) zombies_.push_back(pid);
      return;
    }
    tries < 100 ? static_cast<void>(::sched_yield()) : static_cast<void>(::usleep(1000));
  }
  throw BrokenRun{"process-does-not-end"};
}

void Interpreter::wait_for_thread_end(const WorkerTask& task) const {
  const std::string path = std::to_string(task.process) + "/task/" + std::to_string(task.thread);
  for (int tries = 0; tries < kPatienceSeconds * 1000; ++tries) {
    if (task.thread != task.process) {
      if (::access(("/proc/" + path).c_str(), F_OK) != 0) return;
    } else {
      // A leader stays a zombie until the last thread is gone.
      if (proc_text(task.process, ("task/" + std::to_string(task.thread) + "/stat").c_str())
              .find(") Z ") != std::string::npos) {
        return;
      }
    }
    tries < 100 ? static_cast<void>(::sched_yield()) : static_cast<void>(::usleep(1000));
  }
  throw BrokenRun{"thread-does-not-end"};
}

void Interpreter::show_maps(pid_t thread) {
  for (const TestMapping& mapping : TestMaps::read(thread)) writer_.mapping(mapping);
}

void Interpreter::show_status(pid_t thread) {
  const std::string status = proc_text(thread, "status");
  for (const char* name :
       {"Threads:", "TracerPid:", "FDSize:", "VmSize:", "VmLck:", "VmStk:", "SigQ:", "SigPnd:",
        "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "CapEff:", "CapPrm:"}) {
    if (std::string_view(name) == "SigQ:") continue;  // per user, not per process
    writer_.field(std::string(name, std::strlen(name) - 1), status_field(status, name));
  }
}

void Interpreter::show_attach(const Operation& operation, const Request& request,
                              const Response& response) {
  if (response.error != 0) return;
  const std::string segment = segment_name(operation.worker, request.arguments[0]);
  writer_.field("segment", segment);
  const auto address = static_cast<std::uint64_t>(response.result);
  const pid_t thread = links_.task_of(operation.worker).thread;
  for (const TestMapping& mapping : TestMaps::read(thread)) {
    if (mapping.start != address) continue;
    writer_.name_file(mapping, segment);
    writer_.mapping(mapping);
  }
}

void Interpreter::show_shmctl(const Operation& operation, const Request& request,
                              const Response& response) {
  const auto command = static_cast<int>(request.arguments[1]);
  const bool buffer_given = operation.operands[2].base == Base::kBuffer;
  writer_.shmctl(command, buffer_given, response);
  if (response.error == 0 && command == IPC_RMID) {
    writer_.field("segment", segment_name(operation.worker, request.arguments[0]));
  }
  if (response.error != 0 || !buffer_given) return;
  if (command != IPC_STAT && command != SHM_STAT && command != SHM_STAT_ANY) return;
  const std::int64_t id = command == IPC_STAT ? request.arguments[0] : response.result;
  const std::string segment = segment_name(operation.worker, id);
  writer_.field("segment", segment);
  if (splits_) count_mappings(segment, "");
}

std::string Interpreter::segment_name(int worker, std::int64_t id) const {
  return std::to_string(namespaces_[static_cast<std::size_t>(worker)]) + "." +
         std::to_string(static_cast<int>(id));
}

/// unshare(2) and setns(2) change the namespace of the calling thread alone.
void Interpreter::follow_namespaces(const Operation& operation) {
  int& own = namespaces_[static_cast<std::size_t>(operation.worker)];
  if (operation.kind == Kind::kUnshareIpc) own = namespace_count_++;
  if (operation.kind == Kind::kSetnsIpc) {
    own = namespaces_[static_cast<std::size_t>(operation.target())];
  }
}

void Interpreter::show_proc_table(const Operation& operation, const std::string& text) {
  writer_.field("namespace",
                std::to_string(namespaces_[static_cast<std::size_t>(operation.worker)]));
  for (const int id : writer_.proc_table(text)) {
    if (splits_) {
      count_mappings(segment_name(operation.worker, id), "row" + std::to_string(id) + ".");
    }
  }
}

void Interpreter::count_mappings(const std::string& segment, const std::string& prefix) {
  std::vector<int> spaces;
  std::size_t count = 0;
  std::size_t merged = 0;
  bool one_of_several = false;
  for (int index = 0; index < kMaxWorkers; ++index) {
    const int space = table_.worker(index).space;
    if (!table_.alive(index) || std::find(spaces.begin(), spaces.end(), space) != spaces.end()) {
      continue;
    }
    spaces.push_back(space);
    const TestMapping* before = nullptr;
    const auto mappings = TestMaps::read(links_.task_of(index).thread);
    for (const TestMapping& mapping : mappings) {
      const std::set<std::string>& segments = writer_.segments_of(mapping);
      if (segments.contains(segment)) {
        one_of_several |= segments.size() > 1;
        ++count;
        if (before == nullptr || !before->continued_by(mapping)) ++merged;
      }
      before = &mapping;
    }
  }
  writer_.field(prefix + "mappings", std::to_string(count));
  writer_.field(prefix + "merged", std::to_string(merged));
  if (one_of_several) writer_.field(prefix + "one-of-several", "1");
}

}  // namespace shmvisor
