// Any reads and writes, at any offsets, of files that are open in /proc: a table is the same to
// whoever reads it in whatever pieces, and what is written to a sysctl is what may be.
#include <sys/ipc.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "emulation/abi/call_numbers.h"
#include "emulation/shm/registries.h"
#include "emulation/syscalls/shm_call.h"
#include "supervisor/procfiles/open_file.h"
#include "supervisor/scope/joint_scope.h"
#include "tests/fakes/fake_caller.h"
#include "tests/fakes/fake_host.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace shmvisor;

constexpr std::size_t kLongestRead = 8192;

class Files {
 public:
  Files()
      : namespaces_(host_, Limits{.shmmax = 1 << 24, .shmall = 4096, .shmmni = 100},
                    NamespaceIds::ours().ipc) {
    caller_.subject().capabilities = {Capability::kIpcOwner, Capability::kSysAdmin};
    for (const ProcFileInfo& info : kProcFiles) {
      if (info.file == ProcFile::kTable) {
        open_.push_back(std::make_unique<TableFile>(registry(), reader_));
      } else {
        open_.push_back(std::make_unique<SysctlFile>(info.file, registry(), reader_.sysctl_owner(),
                                                     open_.size() == 2));
      }
    }
  }

  void step(FuzzInput& input) {
    const std::size_t number = input.below(open_.size());
    OpenFile& file = *open_[number];
    switch (input.below(8)) {
      case 0:
        (void)answer_call(
            decode({Abi::kX86_64, kX86_64Calls.shmget, {0, 1 + input.below(256), 01600}}), caller_,
            *registry());
        return;
      case 1:
        (void)answer_call(
            decode({Abi::kX86_64, kX86_64Calls.shmctl, {input.below(32), IPC_RMID, 0}}), caller_,
            *registry());
        return;
      case 2:
        write(input, file);
        return;
      case 3:
        compare_pieces(input);
        return;
      default:
        read(input, file);
    }
  }

 private:
  std::shared_ptr<Registry> registry() { return namespaces_.of(NamespaceIds::ours().ipc); }

  static std::string text_of(std::string text) { return text; }
  static std::string text_of(const Result<std::string>& text) {
    FUZZ_EXPECT(text.ok());
    return *text;
  }

  static std::uint64_t any_offset(FuzzInput& input) {
    const std::uint64_t near = input.take<std::uint16_t>() % 20000;
    return input.one_of<std::uint64_t>({0, 0, near, near, near, UINT64_MAX, INT64_MAX, UINT32_MAX});
  }

  static void read(FuzzInput& input, OpenFile& file) {
    const std::uint64_t offset = any_offset(input);
    const std::size_t size = input.take<std::uint16_t>() % (kLongestRead + 1);
    FUZZ_EXPECT(text_of(file.read(offset, size)).size() <= size);
  }

  void write(FuzzInput& input, OpenFile& file) {
    const std::uint64_t offset = input.below(4) == 0 ? any_offset(input) : 0;
    std::string text(input.below(24), '0');
    const std::string_view letters = "0123456789-+x \n\t";
    for (char& letter : text) letter = letters[input.below(letters.size())];
    const auto taken = file.write(text, offset, reader_);
    if (taken) FUZZ_EXPECT(*taken <= text.size());
    if (!taken) FUZZ_EXPECT(taken.error() != Errno(0));
    const Limits limits = registry()->read()->limits();
    FUZZ_EXPECT(limits.shmmni <= Limits::ipcmni);
    FUZZ_EXPECT(registry()->read()->next_id_hint() >= -1);
  }

  /// Nothing changes meanwhile, so all readers see one text, of whole lines.
  void compare_pieces(FuzzInput& input) {
    std::array<std::string, 2> texts;
    for (std::string& text : texts) {
      TableFile table(registry(), reader_);
      for (;;) {
        const std::size_t size = 1 + input.take<std::uint16_t>() % kLongestRead;
        const std::string piece = text_of(table.read(text.size(), size));
        FUZZ_EXPECT(piece.size() <= size);
        if (piece.empty()) break;
        text += piece;
      }
      const std::uint64_t offset = input.take<std::uint16_t>() % (text.size() + 1);
      const std::string again = text_of(table.read(offset, 100));
      FUZZ_EXPECT(text.compare(offset, again.size(), again) == 0);
    }
    FUZZ_EXPECT(texts[0] == texts[1]);
    FUZZ_EXPECT(texts[0].ends_with('\n'));
  }

  FakeHost host_;
  Registries namespaces_;
  FakeCaller caller_{host_, 100};
  JointScope nobody_;
  IpcNamespaces ipc_namespaces_{namespaces_, nobody_};
  Reader reader_{::gettid(), ipc_namespaces_, nullptr};
  std::vector<std::unique_ptr<OpenFile>> open_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  Files files;
  for (int steps = 0; steps < 100 && !input.empty(); ++steps) files.step(input);
  return 0;
}
