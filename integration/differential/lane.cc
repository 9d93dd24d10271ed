#include "integration/differential/lane.h"

#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "integration/differential/exclusions.h"
#include "integration/differential/minimiser.h"

namespace shmvisor {
namespace {

constexpr uid_t kFirstTestUser = 1'000'000;
constexpr uid_t kUsersForEachLane = 32768;
constexpr int kMostLanes = 64;
constexpr uid_t kMostPrograms = 1000;

/// Other runs of this program may be about: their users must not be ours.
uid_t first_user(pid_t program, int number) {
  const uid_t place = static_cast<uid_t>(program) % kMostPrograms * kMostLanes +
                      static_cast<uid_t>(number % kMostLanes);
  return kFirstTestUser + place * kUsersForEachLane;
}

/// Workers take turns: on one CPU that is a switch, over several a wake-up.
void stay_on_one_cpu(int number) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int skip = number % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

void print(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (put <= 0) return;
    done += static_cast<std::size_t>(put);
  }
}

/// Each line of the transcript behind its operation.
std::string annotated(const Sequence& sequence, const TestBed::Run& run) {
  const Transcript transcript = run.transcript();
  std::string text;
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    text += "    " + to_text(sequence[i]);
    if (i < transcript.steps().size()) text += "  =>  " + transcript.steps()[i].text();
    text += "\n";
  }
  return text + "    " + transcript.end().text() + " " + run.complaint() + "\n";
}

std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  return hash | 1;
}

}  // namespace

Lane::Lane(const LaneOptions& options, Shared& shared, int number)
    : options_(options),
      shared_(shared),
      bed_(options.interpreter, options.shmvisor, first_user(options.program, number),
           kUsersForEachLane) {
  stay_on_one_cpu(number);
}

void Lane::work() {
  while (shared_.distinct_divergences.load() < options_.most_divergences) {
    const std::uint64_t job = shared_.next_job.fetch_add(1);
    if (job >= options_.job_count()) return;
    if (options_.replays.empty()) {
      const std::uint64_t seed = options_.first_seed + job;
      work_on(Generator(seed, options_.generator).generate(), "seed " + std::to_string(seed));
      continue;
    }
    const std::string& path = options_.replays[job];
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    std::string bad_line;
    const auto sequence = parse_sequence(text.str(), bad_line);
    if (!sequence || sequence->empty()) {
      print(path + ": no sequence: " + bad_line + "\n");
      shared_.failures.fetch_add(1);
      continue;
    }
    work_on(*sequence, path);
  }
}

Lane::Examined Lane::examine(const Sequence& sequence) {
  Examined examined;
  examined.native = bed_.natively(sequence);
  examined.supervised = bed_.supervised(sequence);
  examined.comparison = compare(sequence, examined.native.transcript(),
                                examined.supervised.transcript(), options_.disabled_exclusions);
  auto& divergence = examined.comparison.divergence;
  const std::string native = examined.native.complaint();
  const std::string supervised = examined.supervised.complaint();
  if (!divergence && (!native.empty() || !supervised.empty())) {
    divergence = Divergence{sequence.size(), "", "exit", native, supervised, native, supervised};
  }
  return examined;
}

void Lane::count(const Examined& examined) {
  shared_.sequences.fetch_add(1);
  shared_.operations.fetch_add(examined.comparison.compared_steps);
  shared_.native_nanoseconds.fetch_add(static_cast<std::uint64_t>(examined.native.took.count()));
  shared_.supervised_nanoseconds.fetch_add(
      static_cast<std::uint64_t>(examined.supervised.took.count()));
  const auto table = exclusions();
  for (std::size_t i = 0; i < table.size() && i < Shared::kMostExclusions; ++i) {
    const auto found = examined.comparison.excused.find(std::string(table[i].name));
    if (found != examined.comparison.excused.end()) shared_.excused[i].fetch_add(found->second);
  }
}

bool Lane::first_of(const std::string& signature) {
  const std::uint64_t hash = hash_of(signature);
  for (std::atomic<std::uint64_t>& place : shared_.signatures) {
    std::uint64_t held = 0;
    if (place.compare_exchange_strong(held, hash)) return true;
    if (held == hash) return false;
  }
  return false;
}

void Lane::work_on(const Sequence& sequence, const std::string& name) {
  const Examined examined = examine(sequence);
  count(examined);
  if (options_.show_transcripts) {
    print(name + "\n  natively:\n" + annotated(sequence, examined.native) + "  under shmvisor:\n" +
          annotated(sequence, examined.supervised) + examined.supervised.log);
  }
  if (!examined.comparison.divergence) {
    if (!options_.replays.empty()) print(name + ": alike\n");
    return;
  }
  if (options_.expect_divergence) {
    shared_.diverging_sequences.fetch_add(1);
    const Divergence& divergence = *examined.comparison.divergence;
    print(name + ": diverges as expected: " + divergence.operation + ": " + divergence.field +
          " is " + divergence.native + " natively, " + divergence.supervised + " under shmvisor\n");
    return;
  }
  if (kernel_contradicts_itself(sequence, examined)) {
    shared_.native_contradictions.fetch_add(1);
    const Divergence& once = *examined.comparison.divergence;
    print(name + ": the kernel said otherwise when repeated, and then what shmvisor had said: " +
          once.signature() + "\n# " + once.operation +
          "\n# natively, at first: " + once.native_step + "\n");
    return;
  }
  shared_.diverging_sequences.fetch_add(1);
  if (!first_of(examined.comparison.divergence->signature())) return;
  shared_.distinct_divergences.fetch_add(1);
  report(sequence, name, examined);
}

bool Lane::kernel_contradicts_itself(const Sequence& sequence, const Examined& examined) {
  constexpr int kRepetitions = 3;
  if (!examined.supervised.complaint().empty()) return false;
  const Transcript supervised = examined.supervised.transcript();
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const auto again = bed_.natively(sequence);
    if (again.complaint().empty() &&
        !compare(sequence, again.transcript(), supervised, options_.disabled_exclusions)
             .divergence) {
      return true;
    }
  }
  return false;
}

void Lane::report(const Sequence& sequence, const std::string& name, const Examined& examined) {
  const std::string signature = examined.comparison.divergence->signature();
  Sequence smallest = sequence;
  if (options_.minimise) {
    const auto fails = [&](const Sequence& candidate) {
      const auto divergence = examine(candidate).comparison.divergence;
      return divergence && divergence->signature() == signature;
    };
    if (!fails(sequence)) {
      const Divergence& once = *examined.comparison.divergence;
      print("DIVERGENCE, " + name + ", not seen again when repeated: " + signature + "\n# " +
            once.operation + "\n# natively: " + once.native_step +
            "\n# under shmvisor: " + once.supervised_step + "\n\n");
      return;
    }
    smallest = minimise(sequence, fails);
  }
  Examined last = examine(smallest);
  if (!last.comparison.divergence) last = examined;
  const Divergence& divergence = *last.comparison.divergence;
  print("DIVERGENCE, " + name + ": " + signature + "\n" + to_text(smallest) + "# " +
        divergence.operation + "\n# " + divergence.field + ": natively " + divergence.native +
        ", under shmvisor " + divergence.supervised + "\n# natively: " + divergence.native_step +
        "\n# under shmvisor: " + divergence.supervised_step + "\n" +
        (last.supervised.log.empty() ? "" : "# log: " + last.supervised.log) + "\n");
}

}  // namespace shmvisor
