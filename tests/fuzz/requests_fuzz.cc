// Requests of any clients of our files in /proc, as the kernel passes them on, through libfuse: any
// requests, for any file, with any handle, sizes and offsets that the kernel lets through. Each is
// answered once, with no more than was asked for. One file system serves all inputs, since only
// /dev/fuse can tell libfuse that a connection has ended.
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/ipc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulation/abi/call_numbers.h"
#include "emulation/shm/registries.h"
#include "emulation/syscalls/shm_call.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/scope/joint_scope.h"
#include "tests/fakes/fake_caller.h"
#include "tests/fakes/fake_host.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

/// No request waits here for a process or a count, so what takes longer is lost.
constexpr std::chrono::seconds kPatience(20);
/// The most that the kernel asks for: FUSE_DEFAULT_MAX_PAGES_PER_REQ, and our max_write.
constexpr std::size_t kMostReadBytes = 128 * 1024;
constexpr std::size_t kMostWriteBytes = 16 * 1024;
constexpr std::uint64_t kFirstFile = FUSE_ROOT_ID + 1;
/// A reply: its header, and as much as was asked for.
constexpr std::size_t kMostReplyBytes = kMostReadBytes + 4096;

/// The other end of a FUSE connection: the kernel's.
class Kernel {
 public:
  explicit Kernel(ProcFileSystem& files) : reply_(kMostReplyBytes) {
    std::array<int, 2> ends{};
    FUZZ_EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    connection_.reset(ends[0]);
    FUZZ_EXPECT(files.start(UniqueFd(ends[1])).ok());
    fuse_init_in init{};
    init.major = FUSE_KERNEL_VERSION;
    init.minor = 31;
    init.max_readahead = kMostReadBytes;
    init.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS;
    FUZZ_EXPECT(ask(FUSE_INIT, 0, 0, bytes_of(init)) == 0);
  }

  template <typename Body>
  static std::string bytes_of(const Body& body) {
    return {reinterpret_cast<const char*>(&body), sizeof(body)};
  }

  void send(std::uint32_t opcode, std::uint64_t inode, pid_t pid, std::string_view body) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
    header.opcode = opcode;
    header.unique = (unique_ += 2);
    header.nodeid = inode;
    header.pid = static_cast<std::uint32_t>(pid);
    std::string message = bytes_of(header);
    message += body;
    FUZZ_EXPECT(::send(connection_.get(), message.data(), message.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(message.size()));
  }
  /// The error: 0, or an errno negated. body() has the rest.
  int ask(std::uint32_t opcode, std::uint64_t inode, pid_t pid, std::string_view body) {
    send(opcode, inode, pid, body);
    fuse_out_header header{};
    do {  // those in between notify the kernel of something
      pollfd waiting{connection_.get(), POLLIN, 0};
      int ready = 0;
      do {  // libFuzzer's timer interrupts it
        ready = poll_files({&waiting, 1}, kPatience);
      } while (ready < 0 && errno == EINTR);
      FUZZ_EXPECT(ready == 1);
      const ssize_t got = ::recv(connection_.get(), reply_.data(), reply_.size(), 0);
      FUZZ_EXPECT(got >= static_cast<ssize_t>(sizeof(header)));
      std::memcpy(&header, reply_.data(), sizeof(header));
      FUZZ_EXPECT(header.len == static_cast<std::size_t>(got));
      FUZZ_EXPECT(header.unique == 0 || header.unique == unique_);
    } while (header.unique == 0);
    FUZZ_EXPECT(header.error <= 0 && header.error > -1000);
    FUZZ_EXPECT(header.error == 0 || header.len == sizeof(header));
    body_ = {reply_.data() + sizeof(header), header.len - sizeof(header)};
    return header.error;
  }
  [[nodiscard]] std::string_view body() const { return body_; }

 private:
  UniqueFd connection_;
  std::vector<char> reply_;
  std::string_view body_;
  std::uint64_t unique_ = 0;
};

class Clients {
 public:
  Clients()
      : namespaces_(host_, Limits{.shmmax = 1 << 24, .shmall = 4096, .shmmni = 100},
                    NamespaceIds::ours().ipc),
        files_(ipc_namespaces_, std::make_shared<OpenFileShares>()),
        kernel_(std::make_unique<Kernel>(files_)) {
    caller_.subject().capabilities = {Capability::kIpcOwner, Capability::kSysAdmin};
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  /// As before the first step.
  void clear() {
    pid_ = ::gettid();
    while (!open_.empty()) close(open_.back());
    for (const int id : made_)
      run({Abi::kX86_64, kX86_64Calls.shmctl, {as_argument(id), IPC_RMID, 0}});
    made_.clear();
    FUZZ_EXPECT(registry()->read()->in_use() == 0);
  }

  void step(FuzzInput& input) {
    pid_ = input.one_of<pid_t>({::gettid(), ::gettid(), ::gettid(), 0, 1, 0x3fffffff});
    inode_ = FUSE_ROOT_ID + input.below(kProcFiles.size() + 2);
    switch (input.below(12)) {
      case 0:
        return call(input);
      case 1:
        return lookup(input);
      case 2:
        return list(input);
      case 3:
        return get_attributes(input);
      case 4:
        return set_attributes(input);
      case 5:
        return access(input);
      case 6:
        return open(input);
      case 7:
        return close(any_handle(input));
      case 8:
        return write(input);
      case 9:
        return anything(input);
      default:
        return read(input);
    }
  }

 private:
  struct Handle {
    std::uint64_t number = 0;
    std::uint64_t inode = kFirstFile;
  };

  /// One that was opened, if there is any; or one that was closed, or never was.
  Handle any_handle(FuzzInput& input) {
    const std::size_t place = input.below(256);
    if (place < 250 && !open_.empty()) return open_[place % open_.size()];
    return {input.take<std::uint64_t>(), kFirstFile + input.below(kProcFiles.size())};
  }
  /// With `size` the kernel lets none pass INT64_MAX (rw_verify_area() of fs/read_write.c).
  static std::uint64_t any_offset(FuzzInput& input, std::size_t size) {
    const std::uint64_t near = input.take<std::uint16_t>();
    return input.one_of<std::uint64_t>(
        {0, 0, near, near, near, UINT32_MAX, std::uint64_t{INT64_MAX} - size});
  }

  std::shared_ptr<Registry> registry() { return namespaces_.of(NamespaceIds::ours().ipc); }
  std::int64_t run(const RawCall& raw) {
    return answer_call(decode(raw), caller_, *registry()).value();
  }
  static std::uint64_t as_argument(int id) { return static_cast<std::uint32_t>(id); }

  /// What the table has changes meanwhile.
  void call(FuzzInput& input) {
    if (input.below(3) != 0) {
      const auto id = run({Abi::kX86_64, kX86_64Calls.shmget, {0, 1 + input.below(256), 01600}});
      if (id >= 0) made_.push_back(static_cast<int>(id));
    } else if (!made_.empty()) {
      const std::size_t place = input.below(256) % made_.size();
      run({Abi::kX86_64, kX86_64Calls.shmctl, {as_argument(made_[place]), IPC_RMID, 0}});
      made_.erase(made_.begin() + static_cast<std::ptrdiff_t>(place));
    }
  }

  void close(const Handle& handle) {
    fuse_release_in release{};
    release.fh = handle.number;
    FUZZ_EXPECT(kernel_->ask(FUSE_RELEASE, handle.inode, pid_, Kernel::bytes_of(release)) == 0);
    std::erase_if(open_,
                  [number = handle.number](const Handle& one) { return one.number == number; });
  }

  void lookup(FuzzInput& input) {
    const std::size_t number = input.below(kProcFiles.size() + 3);
    std::string name(input.below(256), 'x');
    if (number < kProcFiles.size()) name = kProcFiles[number].name;
    const int error = kernel_->ask(FUSE_LOOKUP, FUSE_ROOT_ID, pid_, name + '\0');
    FUZZ_EXPECT((error == 0) == (number < kProcFiles.size()));
    if (error == 0) {
      fuse_entry_out entry{};
      FUZZ_EXPECT(kernel_->body().size() == sizeof(entry));
      std::memcpy(&entry, kernel_->body().data(), sizeof(entry));
      FUZZ_EXPECT(entry.nodeid == kFirstFile + number);
    }
    if (input.below(2) == 0) {
      const fuse_forget_in forget{.nlookup = input.take<std::uint64_t>()};
      kernel_->send(FUSE_FORGET, inode_, pid_, Kernel::bytes_of(forget));
    }
  }

  void list(FuzzInput& input) {
    fuse_read_in list{};
    list.size = input.take<std::uint16_t>();
    list.offset = any_offset(input, 0);
    const auto how =
        input.one_of<std::uint32_t>({FUSE_READDIRPLUS, FUSE_READDIRPLUS, FUSE_READDIR});
    const int error = kernel_->ask(how, FUSE_ROOT_ID, pid_, Kernel::bytes_of(list));
    FUZZ_EXPECT(error != 0 || kernel_->body().size() <= list.size);
  }

  void get_attributes(FuzzInput& input) {
    fuse_getattr_in get{};
    if (input.below(2) == 0) {
      get.getattr_flags = FUSE_GETATTR_FH;
      get.fh = any_handle(input).number;
    }
    (void)kernel_->ask(FUSE_GETATTR, inode_, pid_, Kernel::bytes_of(get));
  }

  void set_attributes(FuzzInput& input) {
    fuse_setattr_in set{};
    set.valid = input.take<std::uint16_t>();
    set.size = any_offset(input, 0);
    set.fh = any_handle(input).number;
    set.mode = input.take<std::uint16_t>();
    set.uid = input.take<std::uint16_t>();
    (void)kernel_->ask(FUSE_SETATTR, inode_, pid_, Kernel::bytes_of(set));
  }

  void access(FuzzInput& input) {
    fuse_access_in access{};
    access.mask = static_cast<std::uint32_t>(input.below(8));
    (void)kernel_->ask(FUSE_ACCESS, inode_, pid_, Kernel::bytes_of(access));
  }

  void open(FuzzInput& input) {
    fuse_open_in open{};
    open.flags = input.one_of<std::uint32_t>({O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC,
                                              O_WRONLY | O_APPEND, O_RDONLY | O_DIRECT,
                                              input.take<std::uint32_t>()});
    // A whole burst, of files that are held open.
    const std::size_t count = input.below(16) == 0 ? 64 : 1;
    for (std::size_t number = 0; number < count; ++number) {
      if (kernel_->ask(FUSE_OPEN, inode_, pid_, Kernel::bytes_of(open)) != 0) return;
      fuse_open_out opened{};
      FUZZ_EXPECT(kernel_->body().size() == sizeof(opened));
      std::memcpy(&opened, kernel_->body().data(), sizeof(opened));
      open_.push_back({opened.fh, inode_});
    }
  }

  void read(FuzzInput& input) {
    const Handle handle = any_handle(input);
    fuse_read_in read{};
    read.fh = handle.number;
    read.size = input.one_of<std::uint32_t>({0, 1, input.take<std::uint16_t>(), kMostReadBytes});
    read.offset = any_offset(input, read.size);
    const bool owned = input.below(8) != 0;
    read.lock_owner = owned ? 1 : 0;
    read.read_flags = owned ? FUSE_READ_LOCKOWNER : 0;
    const int error = kernel_->ask(FUSE_READ, handle.inode, pid_, Kernel::bytes_of(read));
    FUZZ_EXPECT(error != 0 || kernel_->body().size() <= read.size);
  }

  void write(FuzzInput& input) {
    const Handle handle = any_handle(input);
    std::string text(
        input.one_of<std::size_t>({input.below(24), input.below(24), 4096, kMostWriteBytes}), '0');
    const std::string_view letters = "0123456789-+x \n\t";
    for (char& letter : std::span(text).first(std::min<std::size_t>(text.size(), 24))) {
      letter = letters[input.below(letters.size())];
    }
    fuse_write_in write{};
    write.fh = handle.number;
    write.size = static_cast<std::uint32_t>(text.size());
    write.offset = any_offset(input, text.size());
    const int error = kernel_->ask(FUSE_WRITE, handle.inode, pid_, Kernel::bytes_of(write) + text);
    if (error != 0) return;
    fuse_write_out written{};
    FUZZ_EXPECT(kernel_->body().size() == sizeof(written));
    std::memcpy(&written, kernel_->body().data(), sizeof(written));
    FUZZ_EXPECT(written.size <= text.size());
  }

  /// What we do not serve, and libfuse refuses for us: with a body of any numbers and two names.
  void anything(FuzzInput& input) {
    const auto opcode = input.one_of<std::uint32_t>(
        {FUSE_READLINK,  FUSE_SYMLINK,    FUSE_MKNOD,     FUSE_MKDIR,          FUSE_UNLINK,
         FUSE_RMDIR,     FUSE_RENAME,     FUSE_LINK,      FUSE_STATFS,         FUSE_FSYNC,
         FUSE_SETXATTR,  FUSE_GETXATTR,   FUSE_LISTXATTR, FUSE_REMOVEXATTR,    FUSE_FLUSH,
         FUSE_OPENDIR,   FUSE_RELEASEDIR, FUSE_FSYNCDIR,  FUSE_GETLK,          FUSE_SETLK,
         FUSE_SETLKW,    FUSE_CREATE,     FUSE_BMAP,      FUSE_IOCTL,          FUSE_POLL,
         FUSE_FALLOCATE, FUSE_RENAME2,    FUSE_LSEEK,     FUSE_COPY_FILE_RANGE});
    std::array<std::uint64_t, 16> numbers{};
    for (std::size_t place = 0; place < 8; ++place) numbers[place] = input.take<std::uint64_t>();
    numbers[0] = any_handle(input).number;
    constexpr std::string_view kNames("a\0b\0", 4);
    (void)kernel_->ask(opcode, inode_, pid_, Kernel::bytes_of(numbers).append(kNames));
  }

  FakeHost host_;
  Registries namespaces_;
  FakeCaller caller_{host_, 100};
  JointScope nobody_;
  IpcNamespaces ipc_namespaces_{namespaces_, nobody_};
  ProcFileSystem files_;
  std::unique_ptr<Kernel> kernel_;
  pid_t pid_ = 0;
  std::uint64_t inode_ = FUSE_ROOT_ID;
  std::vector<Handle> open_;
  std::vector<int> made_;  ///< segments
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  static Clients& clients = *new Clients;
  for (int steps = 0; steps < 80 && !input.empty(); ++steps) clients.step(input);
  clients.clear();
  return 0;
}
