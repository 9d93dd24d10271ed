#include "integration/differential/generator.h"

#include <linux/shm.h>

#include <numeric>

namespace shmvisor {
namespace {

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
    : random_(seed), options_(options) {}

void Generator::choose_mood() {
  weights_.assign(static_cast<std::size_t>(Kind::kTick) + 1, 0);
  for (const KindWeight& one : kWeights) {
    const bool call_of_ours = one.kind < Kind::kChurn;
    const auto factor =
        call_of_ours ? random_.one_of({2, 4, 4, 8}) : random_.one_of({0, 2, 4, 4, 12});
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
  filler_.set_most_workers(static_cast<int>(random_.one_of({1, 2, 3, 4, 6})));
}

Kind Generator::next_kind() {
  const unsigned total = std::accumulate(weights_.begin(), weights_.end(), 0U);
  auto at = static_cast<unsigned>(random_.below(total));
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
  return runners[random_.below(runners.size())];
}

void Generator::add_random() {
  Operation operation;
  operation.kind = next_kind();
  operation.worker = random_runner();
  if (!filler_.fill(operation, sequence_.size())) return;
  add(operation);
  if (random_.percent(30)) observe(random_runner());
}

void Generator::observe(int worker) {
  Operation look;
  look.worker = worker;
  look.kind = Kind::kShmctl;
  look.operands[2] = Operand::buffer();
  if (random_.percent(15)) {
    look.operands[1] = Operand::number(SHM_INFO);
  } else if (random_.percent(50)) {
    look.operands[0] = Operand::segment(filler_.last_segment());
    look.operands[1] = Operand::number(IPC_STAT);
  } else {
    look.operands[0] = Operand::number(static_cast<std::int64_t>(random_.below(6)));
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

}  // namespace shmvisor
