#include "integration/differential/generator.h"

#include <linux/capability.h>
#include <linux/mman.h>
#include <linux/shm.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <numeric>

namespace shmvisor {
namespace {

constexpr std::int64_t kPage = 4096;
/// Where reads and writes go in a page; shmctl's buffers never reach there.
constexpr std::int64_t kDataInPage = 0x800;
/// More than any address space: such a segment can exist, but never be mapped.
constexpr std::int64_t kUnmappable = std::int64_t{1} << 47;

struct KindWeight {
  Kind kind;
  unsigned weight;
};

constexpr KindWeight kWeights[] = {
    {Kind::kChurn, 6},      {Kind::kShmget, 110},       {Kind::kShmat, 160},
    {Kind::kShmdt, 80},     {Kind::kShmctl, 160},       {Kind::kRead, 40},
    {Kind::kWrite, 50},     {Kind::kMaps, 15},          {Kind::kStatus, 6},
    {Kind::kMprotect, 25},  {Kind::kMunmap, 25},        {Kind::kMremap, 25},
    {Kind::kMmap, 12},      {Kind::kRemapFilePages, 6}, {Kind::kMlock, 5},
    {Kind::kMunlock, 3},    {Kind::kMlockall, 2},       {Kind::kMunlockall, 3},
    {Kind::kMadvise, 8},    {Kind::kFork, 20},          {Kind::kVfork, 8},
    {Kind::kCloneVm, 6},    {Kind::kThread, 10},        {Kind::kExec, 8},
    {Kind::kExit, 10},      {Kind::kExitThread, 8},     {Kind::kKill, 8},
    {Kind::kSetresuid, 10}, {Kind::kSetresgid, 5},      {Kind::kSetfsgid, 3},
    {Kind::kSetgroups, 4},  {Kind::kCapset, 6},         {Kind::kSetrlimit, 5},
    {Kind::kDumpable, 3},   {Kind::kChroot, 1},
};

}  // namespace

Generator::Generator(std::uint64_t seed, const GeneratorOptions& options)
    : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567), options_(options) {}

std::uint64_t Generator::random() {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

std::int64_t Generator::one_of(std::initializer_list<std::int64_t> values) {
  return values.begin()[below(values.size())];
}

void Generator::choose_mood() {
  weights_.assign(static_cast<std::size_t>(Kind::kTick) + 1, 0);
  for (const KindWeight& one : kWeights) {
    const bool call_of_ours = one.kind < Kind::kChurn;
    const auto factor = call_of_ours ? one_of({2, 4, 4, 8}) : one_of({0, 2, 4, 4, 12});
    weights_[static_cast<std::size_t>(one.kind)] = one.weight * static_cast<unsigned>(factor);
  }
  const auto enable = [&](Kind kind, bool on, unsigned weight) {
    weights_[static_cast<std::size_t>(kind)] = on ? weight : 0;
  };
  enable(Kind::kUnshareIpc, options_.namespaces, 40);
  enable(Kind::kSetnsIpc, options_.namespaces, 40);
  enable(Kind::kSysctl, options_.sysctl, 40);
  enable(Kind::kProcTable, options_.proc_table, 60);
  enable(Kind::kTick, options_.ticks, 12);
  most_workers_ = static_cast<int>(one_of({1, 2, 3, 4, 6}));
}

Kind Generator::next_kind() {
  const unsigned total = std::accumulate(weights_.begin(), weights_.end(), 0U);
  auto at = static_cast<unsigned>(below(total));
  std::size_t kind = 0;
  while (at >= weights_[kind]) at -= weights_[kind++];
  return static_cast<Kind>(kind);
}

Sequence Generator::generate() {
  choose_mood();
  while (sequence_.size() < options_.steps) add_random();
  observe_all();
  return std::move(sequence_);
}

void Generator::add(Operation operation) {
  if (!table_.applicable(operation)) return;
  table_.apply(operation);
  sequence_.push_back(operation);
}

int Generator::random_runner() {
  std::vector<int> runners;
  for (int index = 0; index < kMaxWorkers; ++index) {
    if (table_.runs(index)) runners.push_back(index);
  }
  return runners[below(runners.size())];
}

void Generator::add_random() {
  Operation operation;
  operation.kind = next_kind();
  operation.worker = random_runner();
  if (!fill(operation)) return;
  add(operation);
  if (percent(30)) observe(random_runner());
}

void Generator::observe(int worker) {
  Operation look;
  look.worker = worker;
  look.kind = Kind::kShmctl;
  look.operands[2] = Operand::buffer();
  if (percent(15)) {
    look.operands[1] = Operand::number(SHM_INFO);
  } else if (percent(50)) {
    look.operands[0] = Operand::segment(last_segment_);
    look.operands[1] = Operand::number(IPC_STAT);
  } else {
    look.operands[0] = Operand::number(static_cast<std::int64_t>(below(6)));
    look.operands[1] = Operand::number(SHM_STAT_ANY);
  }
  add(look);
}

void Generator::observe_all() {
  const int worker = random_runner();
  Operation look;
  look.worker = worker;
  look.kind = Kind::kShmctl;
  look.operands[2] = Operand::buffer();
  for (const int command : {SHM_INFO, IPC_INFO}) {
    look.operands[1] = Operand::number(command);
    add(look);
  }
  for (int index = 0; index < 12; ++index) {
    look.operands[0] = Operand::number(index);
    look.operands[1] = Operand::number(SHM_STAT_ANY);
    add(look);
  }
  for (int index = 0; index < kMaxWorkers; ++index) {
    for (const Kind kind : {Kind::kMaps, Kind::kStatus}) {
      Operation one;
      one.kind = kind;
      one.worker = index;
      add(one);
    }
  }
}

bool Generator::fill(Operation& operation) {
  switch (operation.kind) {
    case Kind::kShmget:
      fill_shmget(operation);
      break;
    case Kind::kShmat:
      fill_shmat(operation);
      break;
    case Kind::kShmdt:
      operation.operands[0] = percent(75)   ? Operand::attach(static_cast<int>(below(kAttachNames)))
                              : percent(70) ? page_in_window()
                                            : odd_address();
      break;
    case Kind::kShmctl:
      fill_shmctl(operation);
      break;
    case Kind::kRead:
    case Kind::kWrite:
      operation.operands[0] =
          percent(50) ? Operand::attach(static_cast<int>(below(kAttachNames))) : page_in_window();
      operation.operands[0].offset += kDataInPage + 8 * one_of({0, 1});
      operation.operands[1] = Operand::number(static_cast<std::int64_t>(sequence_.size() + 1));
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
          Operand::number(one_of({MCL_CURRENT, MCL_FUTURE, MCL_FUTURE, MCL_FUTURE | MCL_ONFAULT,
                                  MCL_CURRENT | MCL_FUTURE, 0}));
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
      operation.operands[0] = Operand::number(one_of({1, 7, 30, 60, 64}));
      break;
    case Kind::kSetnsIpc:
      operation.operands[0] = Operand::worker(static_cast<int>(below(kMaxWorkers)));
      break;
    default:
      break;
  }
  return true;
}

Operand Generator::identifier() {
  if (percent(60)) return Operand::segment(last_segment_);
  const int name = static_cast<int>(below(kSegmentNames));
  if (percent(85)) return Operand::segment(name);
  if (percent(50)) return Operand::segment(name, one_of({1, -1, 0x8000, -0x8000, 0x10000}));
  return Operand::number(
      one_of({0, 1, 2, 63, 64, -1, 0x7fff, 0x8000, 0x7fffffff, -0x7fffffff - 1}));
}

Operand Generator::page_in_window() {
  return Operand::window(static_cast<int>(below(3)), kPage * static_cast<std::int64_t>(below(12)));
}

Operand Generator::odd_address() {
  return Operand::number(one_of({0, 1, 0xfff, 0x1000, 0x10000, 0x123000, 0x7ffff0000000,
                                 0x7fffffdb0000, 0x7ffffffdd000, 0x7ffffffff000, 0x800000000000,
                                 0x7fffffffe000, -0x1000, INT64_MIN, -1}));
}

void Generator::fill_shmget(Operation& operation) {
  const std::int64_t key = percent(30)   ? 0
                           : percent(95) ? one_of({1, 2, 3})
                                         : one_of({-1, 1 << 30});
  std::int64_t size = one_of({1, 4095, 4096, 4096, 4097, 0x2000, 0x3000, 0x4000, 0x5000});
  if (percent(12)) size = one_of({0, 0, 0x10000, 0x400000, kUnmappable, -1, -0x2000000});
  std::int64_t flags =
      one_of({0600, 0600, 0666, 0666, 0644, 0640, 0660, 0400, 0200, 0000, 0777, 0066, 0604, 01700});
  if (percent(85)) flags |= IPC_CREAT;
  if (percent(15)) flags |= IPC_EXCL;
  if (percent(8)) flags |= SHM_NORESERVE;
  // No page of 1 GiB: attached at 0 it would cover the program itself.
  if (percent(1)) flags |= SHM_HUGETLB | one_of({0, 0, 21 << 26, 12 << 26, 63 << 26});
  if (percent(2)) flags |= one_of({0400000, 0x40000000, 0x8000, 0x80000000});
  operation.operands[0] = Operand::number(key);
  operation.operands[1] = Operand::number(size);
  operation.operands[2] = Operand::number(flags);
  last_segment_ = static_cast<int>(below(kSegmentNames));
  operation.store = last_segment_;
}

void Generator::fill_shmat(Operation& operation) {
  std::int64_t flags = 0;
  Operand address = Operand::number(0);
  if (percent(60)) {
    address = page_in_window();
    if (percent(20)) flags |= SHM_REMAP;
    if (percent(12)) {
      address.offset += one_of({1, 8, 0x7ff, 0xfff});
      if (percent(80)) flags |= SHM_RND;
    }
  } else if (percent(15)) {
    address = percent(50) ? odd_address() : Operand::attach(static_cast<int>(below(kAttachNames)));
    if (percent(40)) flags |= SHM_RND;
  } else if (percent(3)) {
    flags |= SHM_REMAP;
  }
  if (percent(25)) flags |= SHM_RDONLY;
  if (percent(8)) flags |= SHM_EXEC;
  if (percent(5)) flags |= SHM_RND;
  if (percent(2)) flags |= one_of({1, 0x100, 0x10000, 0x40000000});
  operation.operands[0] = identifier();
  operation.operands[1] = address;
  operation.operands[2] = Operand::number(flags);
  operation.store = static_cast<int>(below(kAttachNames));
}

Operand Generator::bad_buffer() {
  if (percent(40)) {
    Operand in_window = page_in_window();
    in_window.offset += one_of({0, 0xfc0, 0xff8});
    return in_window;
  }
  return Operand::number(one_of({0, 1, 0x1000, 0x400000, 0x7ffffffff000, -0x1000, -1, INT64_MIN}));
}

Operand Generator::mode() {
  return Operand::number(
      one_of({0600, 0666, 0644, 0640, 0400, 0200, 0000, 0777, 0070, 01600, 02600, 0177777}));
}

void Generator::fill_shmctl(Operation& operation) {
  std::int64_t command =
      one_of({IPC_STAT, IPC_STAT, IPC_STAT, SHM_STAT, SHM_STAT, SHM_STAT_ANY, SHM_INFO, IPC_INFO,
              IPC_RMID, IPC_RMID, IPC_RMID, IPC_RMID, IPC_SET, IPC_SET, SHM_LOCK, SHM_UNLOCK});
  if (percent(2)) command = one_of({-1, 4, 16, 0x100 | IPC_STAT, 0x7fffffff});
  operation.operands[0] = identifier();
  if ((command == SHM_STAT || command == SHM_STAT_ANY) && percent(80)) {
    operation.operands[0] = Operand::number(static_cast<std::int64_t>(below(8)));
  }
  operation.operands[1] = Operand::number(command);
  operation.operands[2] = percent(92) ? Operand::buffer() : bad_buffer();
  operation.operands[3] = user(false);
  operation.operands[4] = Operand::number(one_of({0, 0, 100, 101, -1}));
  operation.operands[5] = mode();
  if (command != IPC_SET) {
    std::fill(operation.operands.begin() + 3, operation.operands.end(), Operand::number(0));
  }
}

void Generator::fill_mremap(Operation& operation) {
  operation.operands[0] = page_in_window();
  operation.operands[1] = Operand::number(kPage * one_of({0, 1, 1, 2, 3, 4, 5}));
  operation.operands[2] = Operand::number(kPage * one_of({0, 1, 1, 2, 3, 4, 5, 8}));
  operation.operands[3] =
      Operand::number(one_of({0, MREMAP_MAYMOVE, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
                              MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
                              MREMAP_MAYMOVE | MREMAP_DONTUNMAP, MREMAP_FIXED}));
  operation.operands[4] = page_in_window();
  if (percent(60)) operation.store = static_cast<int>(below(kAttachNames));
}

void Generator::fill_range(Operation& operation) {
  // Of an attach at an address of the kernel's choice only the first page is surely ours.
  const bool named = percent(25) && operation.kind != Kind::kMmap;
  operation.operands[0] =
      named ? Operand::attach(static_cast<int>(below(kAttachNames))) : page_in_window();
  operation.operands[1] = Operand::number(named ? kPage : kPage * one_of({1, 1, 2, 3, 4, 6}));
  if (percent(2)) operation.operands[0].offset += 0x10;
  const std::int64_t protection =
      one_of({PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE,
              PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC});
  switch (operation.kind) {
    case Kind::kMprotect:
      operation.operands[2] = Operand::number(protection);
      break;
    case Kind::kMmap:
      operation.operands[2] = Operand::number(protection);
      operation.operands[3] = Operand::number(MAP_ANONYMOUS | MAP_FIXED |
                                              one_of({MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED}));
      break;
    case Kind::kRemapFilePages:
      operation.operands[3] = Operand::number(one_of({0, 1, 2, 3}));
      break;
    case Kind::kMadvise:
      operation.operands[2] = Operand::number(
          one_of({MADV_DONTNEED, MADV_REMOVE, MADV_REMOVE, MADV_DONTFORK, MADV_DONTFORK,
                  MADV_DOFORK, MADV_DONTDUMP, MADV_RANDOM, MADV_WILLNEED, MADV_WIPEONFORK}));
      break;
    default:
      break;
  }
}

bool Generator::fill_new_worker(Operation& operation) {
  const int free = table_.free_worker();
  if (free < 0 || table_.count_alive() >= most_workers_) return false;
  operation.operands[0] = Operand::worker(free);
  return true;
}

bool Generator::fill_end(Operation& operation) {
  if (operation.kind == Kind::kKill) {
    operation.operands[0] = Operand::worker(static_cast<int>(below(kMaxWorkers)));
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

Operand Generator::user(bool real) {
  const auto which = one_of({0, 1, 2, 3, 4, 4, 4});
  if (which < 3) return Operand::user(static_cast<int>(which));
  return Operand::number(which == 3 || real ? -1 : 0);
}

void Generator::fill_credentials(Operation& operation) {
  const auto group = [this] { return Operand::number(one_of({0, 100, 101, -1})); };
  switch (operation.kind) {
    case Kind::kSetresuid:
      operation.operands[0] = user(true);
      operation.operands[1] = user(false);
      operation.operands[2] = percent(70) ? Operand::number(0) : user(false);
      break;
    case Kind::kSetgroups:
      operation.operands[0] = Operand::number(one_of({0, 1, 2}));
      operation.operands[1] = Operand::number(one_of({0, 100, 101}));
      operation.operands[2] = Operand::number(one_of({0, 100, 101}));
      break;
    case Kind::kCapset: {
      const std::int64_t dropped = (percent(50) ? std::int64_t{1} << CAP_IPC_OWNER : 0) |
                                   (percent(50) ? std::int64_t{1} << CAP_IPC_LOCK : 0) |
                                   (percent(50) ? std::int64_t{1} << CAP_SYS_ADMIN : 0);
      operation.operands[0] = Operand::number(percent(30) ? -1 : percent(15) ? 0 : ~dropped);
      break;
    }
    default:
      operation.operands = {group(), group(), group()};
      break;
  }
}

void Generator::fill_limit(Operation& operation) {
  if (operation.kind == Kind::kDumpable) {
    operation.operands[0] = Operand::number(one_of({0, 1}));
    return;
  }
  if (operation.kind == Kind::kSysctl) {
    const std::int64_t name = one_of({0, 1, 2, 3, 4});
    operation.operands[0] = Operand::number(name);
    operation.operands[1] =
        Operand::number(name == 0   ? one_of({4096, 0x3000, 0x100000, 0, -1})
                        : name == 1 ? one_of({0, 4, 16, 0x100000, -1})
                        : name == 2 ? one_of({0, 2, 5, 4096, 32768, 32769, -1})
                        : name == 3 ? one_of({0, 1, 2})
                                    : one_of({-1, 0, 3, 70, 0x18005, 0x7fffffff, -2}));
    return;
  }
  const std::int64_t resource = one_of({RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_NOFILE});
  operation.operands[0] = Operand::number(resource);
  operation.operands[1] =
      Operand::number(resource == RLIMIT_MEMLOCK ? one_of({0, 0x1000, 0x4000, 0x10000, -1})
                      : resource == RLIMIT_AS    ? one_of({0x1000000, -1})
                                                 : one_of({3, 3, 0, -1}));
}

}  // namespace shmvisor
