#include "integration/differential/operand_filler.h"

#include <linux/capability.h>
#include <linux/mman.h>
#include <linux/shm.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>

namespace shmvisor {
namespace {

constexpr std::int64_t kPage = 4096;
/// Where reads and writes go in a page; shmctl's buffers never reach there.
constexpr std::int64_t kDataInPage = 0x800;
/// More than any address space: such a segment can exist, but never be mapped.
constexpr std::int64_t kUnmappable = std::int64_t{1} << 47;

}  // namespace

bool OperandFiller::fill(Operation& operation, std::size_t step) {
  switch (operation.kind) {
    case Kind::kShmget:
      fill_shmget(operation);
      break;
    case Kind::kShmat:
      fill_shmat(operation);
      break;
    case Kind::kShmdt:
      operation.operands[0] = random_.percent(75)
                                  ? Operand::attach(static_cast<int>(random_.below(kAttachNames)))
                              : random_.percent(70) ? page_in_window()
                                                    : odd_address();
      break;
    case Kind::kShmctl:
      fill_shmctl(operation);
      break;
    case Kind::kRead:
    case Kind::kWrite:
      operation.operands[0] = random_.percent(50)
                                  ? Operand::attach(static_cast<int>(random_.below(kAttachNames)))
                                  : page_in_window();
      operation.operands[0].offset += kDataInPage + 8 * random_.one_of({0, 1});
      operation.operands[1] = Operand::number(static_cast<std::int64_t>(step + 1));
      break;
    case Kind::kMremap:
      fill_mremap(operation);
      break;
    case Kind::kMprotect:
    case Kind::kMunmap:
    case Kind::kMmap:
    case Kind::kRemapFilePages:
    case Kind::kMlock:
    case Kind::kMunlock:
    case Kind::kMadvise:
      fill_range(operation);
      break;
    case Kind::kMlockall:
      operation.operands[0] =
          Operand::number(random_.one_of({MCL_CURRENT, MCL_FUTURE, MCL_FUTURE,
                                          MCL_FUTURE | MCL_ONFAULT, MCL_CURRENT | MCL_FUTURE, 0}));
      break;
    case Kind::kFork:
    case Kind::kVfork:
    case Kind::kCloneVm:
    case Kind::kThread:
      return fill_new_worker(operation);
    case Kind::kExit:
    case Kind::kExitThread:
    case Kind::kKill:
      return fill_end(operation);
    case Kind::kSetresuid:
    case Kind::kSetresgid:
    case Kind::kSetfsgid:
    case Kind::kSetgroups:
    case Kind::kCapset:
      fill_credentials(operation);
      break;
    case Kind::kSetrlimit:
    case Kind::kDumpable:
    case Kind::kSysctl:
      fill_limit(operation);
      break;
    case Kind::kChurn:
      operation.operands[0] = Operand::number(random_.one_of({1, 7, 30, 60, 64}));
      break;
    case Kind::kSetnsIpc:
      operation.operands[0] = Operand::worker(static_cast<int>(random_.below(kMaxWorkers)));
      break;
    default:
      break;
  }
  return true;
}

Operand OperandFiller::identifier() {
  if (random_.percent(60)) return Operand::segment(last_segment_);
  const int name = static_cast<int>(random_.below(kSegmentNames));
  if (random_.percent(85)) return Operand::segment(name);
  if (random_.percent(50))
    return Operand::segment(name, random_.one_of({1, -1, 0x8000, -0x8000, 0x10000}));
  return Operand::number(
      random_.one_of({0, 1, 2, 63, 64, -1, 0x7fff, 0x8000, 0x7fffffff, -0x7fffffff - 1}));
}

Operand OperandFiller::page_in_window() {
  return Operand::window(static_cast<int>(random_.below(3)),
                         kPage * static_cast<std::int64_t>(random_.below(12)));
}

Operand OperandFiller::odd_address() {
  return Operand::number(random_.one_of({0, 1, 0xfff, 0x1000, 0x10000, 0x123000, 0x7ffff0000000,
                                         0x7fffffdb0000, 0x7ffffffdd000, 0x7ffffffff000,
                                         0x800000000000, 0x7fffffffe000, -0x1000, INT64_MIN, -1}));
}

void OperandFiller::fill_shmget(Operation& operation) {
  const std::int64_t key = random_.percent(30)   ? 0
                           : random_.percent(95) ? random_.one_of({1, 2, 3})
                                                 : random_.one_of({-1, 1 << 30});
  std::int64_t size = random_.one_of({1, 4095, 4096, 4096, 4097, 0x2000, 0x3000, 0x4000, 0x5000});
  if (random_.percent(12))
    size = random_.one_of({0, 0, 0x10000, 0x400000, kUnmappable, -1, -0x2000000});
  std::int64_t flags = random_.one_of(
      {0600, 0600, 0666, 0666, 0644, 0640, 0660, 0400, 0200, 0000, 0777, 0066, 0604, 01700});
  if (random_.percent(85)) flags |= IPC_CREAT;
  if (random_.percent(15)) flags |= IPC_EXCL;
  if (random_.percent(8)) flags |= SHM_NORESERVE;
  // No page of 1 GiB: attached at 0 it would cover the program itself.
  if (random_.percent(1))
    flags |= SHM_HUGETLB | random_.one_of({0, 0, 21 << 26, 12 << 26, 63 << 26});
  if (random_.percent(2)) flags |= random_.one_of({0400000, 0x40000000, 0x8000, 0x80000000});
  operation.operands[0] = Operand::number(key);
  operation.operands[1] = Operand::number(size);
  operation.operands[2] = Operand::number(flags);
  last_segment_ = static_cast<int>(random_.below(kSegmentNames));
  operation.store = last_segment_;
}

void OperandFiller::fill_shmat(Operation& operation) {
  std::int64_t flags = 0;
  Operand address = Operand::number(0);
  if (random_.percent(60)) {
    address = page_in_window();
    if (random_.percent(20)) flags |= SHM_REMAP;
    if (random_.percent(12)) {
      address.offset += random_.one_of({1, 8, 0x7ff, 0xfff});
      if (random_.percent(80)) flags |= SHM_RND;
    }
  } else if (random_.percent(15)) {
    address = random_.percent(50) ? odd_address()
                                  : Operand::attach(static_cast<int>(random_.below(kAttachNames)));
    if (random_.percent(40)) flags |= SHM_RND;
  } else if (random_.percent(3)) {
    flags |= SHM_REMAP;
  }
  if (random_.percent(25)) flags |= SHM_RDONLY;
  if (random_.percent(8)) flags |= SHM_EXEC;
  if (random_.percent(5)) flags |= SHM_RND;
  if (random_.percent(2)) flags |= random_.one_of({1, 0x100, 0x10000, 0x40000000});
  operation.operands[0] = identifier();
  operation.operands[1] = address;
  operation.operands[2] = Operand::number(flags);
  operation.store = static_cast<int>(random_.below(kAttachNames));
}

Operand OperandFiller::bad_buffer() {
  if (random_.percent(40)) {
    Operand in_window = page_in_window();
    in_window.offset += random_.one_of({0, 0xfc0, 0xff8});
    return in_window;
  }
  return Operand::number(
      random_.one_of({0, 1, 0x1000, 0x400000, 0x7ffffffff000, -0x1000, -1, INT64_MIN}));
}

Operand OperandFiller::mode() {
  return Operand::number(random_.one_of(
      {0600, 0666, 0644, 0640, 0400, 0200, 0000, 0777, 0070, 01600, 02600, 0177777}));
}

void OperandFiller::fill_shmctl(Operation& operation) {
  std::int64_t command = random_.one_of(
      {IPC_STAT, IPC_STAT, IPC_STAT, SHM_STAT, SHM_STAT, SHM_STAT_ANY, SHM_INFO, IPC_INFO, IPC_RMID,
       IPC_RMID, IPC_RMID, IPC_RMID, IPC_SET, IPC_SET, SHM_LOCK, SHM_UNLOCK});
  if (random_.percent(2)) command = random_.one_of({-1, 4, 16, 0x100 | IPC_STAT, 0x7fffffff});
  operation.operands[0] = identifier();
  if ((command == SHM_STAT || command == SHM_STAT_ANY) && random_.percent(80)) {
    operation.operands[0] = Operand::number(static_cast<std::int64_t>(random_.below(8)));
  }
  operation.operands[1] = Operand::number(command);
  operation.operands[2] = random_.percent(92) ? Operand::buffer() : bad_buffer();
  operation.operands[3] = user(false);
  operation.operands[4] = Operand::number(random_.one_of({0, 0, 100, 101, -1}));
  operation.operands[5] = mode();
  if (command != IPC_SET) {
    std::fill(operation.operands.begin() + 3, operation.operands.end(), Operand::number(0));
  }
}

void OperandFiller::fill_mremap(Operation& operation) {
  operation.operands[0] = page_in_window();
  operation.operands[1] = Operand::number(kPage * random_.one_of({0, 1, 1, 2, 3, 4, 5}));
  operation.operands[2] = Operand::number(kPage * random_.one_of({0, 1, 1, 2, 3, 4, 5, 8}));
  operation.operands[3] = Operand::number(
      random_.one_of({0, MREMAP_MAYMOVE, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
                      MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
                      MREMAP_MAYMOVE | MREMAP_DONTUNMAP, MREMAP_FIXED}));
  operation.operands[4] = page_in_window();
  if (random_.percent(60)) operation.store = static_cast<int>(random_.below(kAttachNames));
}

void OperandFiller::fill_range(Operation& operation) {
  // Of an attach at an address of the kernel's choice only the first page is surely ours.
  const bool named = random_.percent(25) && operation.kind != Kind::kMmap;
  operation.operands[0] =
      named ? Operand::attach(static_cast<int>(random_.below(kAttachNames))) : page_in_window();
  operation.operands[1] =
      Operand::number(named ? kPage : kPage * random_.one_of({1, 1, 2, 3, 4, 6}));
  if (random_.percent(2)) operation.operands[0].offset += 0x10;
  const std::int64_t protection =
      random_.one_of({PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                      PROT_NONE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC});
  switch (operation.kind) {
    case Kind::kMprotect:
      operation.operands[2] = Operand::number(protection);
      break;
    case Kind::kMmap:
      operation.operands[2] = Operand::number(protection);
      operation.operands[3] = Operand::number(
          MAP_ANONYMOUS | MAP_FIXED | random_.one_of({MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED}));
      break;
    case Kind::kRemapFilePages:
      operation.operands[3] = Operand::number(random_.one_of({0, 1, 2, 3}));
      break;
    case Kind::kMadvise:
      operation.operands[2] = Operand::number(random_.one_of(
          {MADV_DONTNEED, MADV_REMOVE, MADV_REMOVE, MADV_DONTFORK, MADV_DONTFORK, MADV_DOFORK,
           MADV_DONTDUMP, MADV_RANDOM, MADV_WILLNEED, MADV_WIPEONFORK}));
      break;
    default:
      break;
  }
}

bool OperandFiller::fill_new_worker(Operation& operation) {
  const int free = table_.free_worker();
  if (free < 0 || table_.count_alive() >= most_workers_) return false;
  operation.operands[0] = Operand::worker(free);
  return true;
}

bool OperandFiller::fill_end(Operation& operation) {
  if (operation.kind == Kind::kKill) {
    operation.operands[0] = Operand::worker(static_cast<int>(random_.below(kMaxWorkers)));
    return true;
  }
  // Somebody has to go on.
  for (int index = 0; index < kMaxWorkers; ++index) {
    if (table_.runs(index) &&
        table_.worker(index).process != table_.worker(operation.worker).process)
      return true;
  }
  return operation.kind == Kind::kExitThread && !table_.last_of_process(operation.worker) &&
         table_.count_alive() > 2;
}

Operand OperandFiller::user(bool real) {
  const auto which = random_.one_of({0, 1, 2, 3, 4, 4, 4});
  if (which < 3) return Operand::user(static_cast<int>(which));
  return Operand::number(which == 3 || real ? -1 : 0);
}

void OperandFiller::fill_credentials(Operation& operation) {
  const auto group = [this] { return Operand::number(random_.one_of({0, 100, 101, -1})); };
  switch (operation.kind) {
    case Kind::kSetresuid:
      operation.operands[0] = user(true);
      operation.operands[1] = user(false);
      operation.operands[2] = random_.percent(70) ? Operand::number(0) : user(false);
      break;
    case Kind::kSetgroups:
      operation.operands[0] = Operand::number(random_.one_of({0, 1, 2}));
      operation.operands[1] = Operand::number(random_.one_of({0, 100, 101}));
      operation.operands[2] = Operand::number(random_.one_of({0, 100, 101}));
      break;
    case Kind::kCapset: {
      const std::int64_t dropped = (random_.percent(50) ? std::int64_t{1} << CAP_IPC_OWNER : 0) |
                                   (random_.percent(50) ? std::int64_t{1} << CAP_IPC_LOCK : 0) |
                                   (random_.percent(50) ? std::int64_t{1} << CAP_SYS_ADMIN : 0);
      operation.operands[0] = Operand::number(random_.percent(30)   ? -1
                                              : random_.percent(15) ? 0
                                                                    : ~dropped);
      break;
    }
    default:
      operation.operands = {group(), group(), group()};
      break;
  }
}

void OperandFiller::fill_limit(Operation& operation) {
  if (operation.kind == Kind::kDumpable) {
    operation.operands[0] = Operand::number(random_.one_of({0, 1}));
    return;
  }
  if (operation.kind == Kind::kSysctl) {
    const std::int64_t name = random_.one_of({0, 1, 2, 3, 4});
    operation.operands[0] = Operand::number(name);
    operation.operands[1] =
        Operand::number(name == 0   ? random_.one_of({4096, 0x3000, 0x100000, 0, -1})
                        : name == 1 ? random_.one_of({0, 4, 16, 0x100000, -1})
                        : name == 2 ? random_.one_of({0, 2, 5, 4096, 32768, 32769, -1})
                        : name == 3 ? random_.one_of({0, 1, 2})
                                    : random_.one_of({-1, 0, 3, 70, 0x18005, 0x7fffffff, -2}));
    return;
  }
  const std::int64_t resource =
      random_.one_of({RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_NOFILE});
  operation.operands[0] = Operand::number(resource);
  operation.operands[1] =
      Operand::number(resource == RLIMIT_MEMLOCK ? random_.one_of({0, 0x1000, 0x4000, 0x10000, -1})
                      : resource == RLIMIT_AS    ? random_.one_of({0x1000000, -1})
                                                 : random_.one_of({3, 3, 0, -1}));
}

}  // namespace shmvisor
