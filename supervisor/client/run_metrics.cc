#include "supervisor/client/run_metrics.h"

#include <array>
#include <cstdio>
#include <functional>
#include <set>

#include "emulation/abi/pages.h"

namespace shmvisor::client {
namespace {

using Labels = MetricsText::Labels;

/// One run, and what its series are called.
struct Named {
  std::string name;
  const RunSample* sample = nullptr;
};

/// By the run's name, or its pid without one. Two of one name (in the folders of two users, or in
/// two pid namespaces) must not have the same series: "/" is in no name.
std::vector<Named> named(const Scrape& scrape) {
  std::vector<Named> all;
  std::set<std::string> taken;
  for (const RunSample& sample : scrape.runs) {
    const std::string plain =
        sample.hello.name.empty() ? std::to_string(sample.hello.pid) : sample.hello.name;
    std::string name = plain;
    for (int number = 2; !taken.insert(name).second; ++number) {
      name = plain + "/" + std::to_string(number);
    }
    all.push_back({name, &sample});
  }
  return all;
}

/// `number` times `factor`. What is no integer of 64 bits with a sign is a floating-point number.
std::string product(std::uint64_t number, std::uint64_t factor) {
  if (number <= INT64_MAX / factor) return std::to_string(number * factor);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.17g",
                static_cast<double>(number) * static_cast<double>(factor));
  return text.data();
}

class Writer {
 public:
  Writer(const std::vector<Named>& runs, MetricsText::Format format) : runs_(runs), text_(format) {}

  std::string write(const Scrape& scrape) {
    add_exporter(scrape);
    add_runs();
    add_registries();
    add_calls();
    return text_.finish();
  }

 private:
  using Registry = RegistrySample;
  using Call = RegistrySample::Call;
  using ValueOf = std::function<std::string(const Registry&)>;

  void add_exporter(const Scrape& scrape) {
    text_.gauge("shmvisor_runs", "Runs and agents that answered");
    text_.add({}, std::to_string(scrape.runs.size()));
    text_.gauge("shmvisor_unanswered_runs",
                "Runs and agents that did not answer in time, and of which nothing is here");
    text_.add({}, std::to_string(scrape.unanswered));
    text_.gauge("shmvisor_scrape_duration_seconds", "How long it took to ask them");
    text_.add({}, seconds_text(static_cast<std::uint64_t>(scrape.took.count())));
  }

  void add_runs() {
    text_.info("shmvisor_run", "A run or an agent that has a control socket");
    for (const Named& run : runs_) {
      const RunConnection::Hello& hello = run.sample->hello;
      text_.add({{"run", run.name},
                 {"kind", hello.kind},
                 {"pid", std::to_string(hello.pid)},
                 {"version", hello.version}},
                "1");
    }
    text_.counter("shmvisor_lost_records",
                  "Calls that those who follow a run's calls were not told of");
    for (const Named& run : runs_) {
      text_.add({{"run", run.name}}, std::to_string(run.sample->lost));
    }
  }

  void for_each_registry(
      const std::function<void(const Labels&, const RunSample&, const Registry&)>& add) {
    for (const Named& run : runs_) {
      for (const Registry& registry : run.sample->registries) {
        add({{"run", run.name}, {"registry", registry.name}}, *run.sample, registry);
      }
    }
  }
  static Labels with(Labels labels, const char* name, const std::string& value) {
    labels.emplace_back(name, value);
    return labels;
  }

  void add_gauge(const std::string& name, const std::string& help, const ValueOf& value_of) {
    text_.gauge(name, help);
    for_each_registry([&](const Labels& labels, const RunSample&, const Registry& registry) {
      text_.add(labels, value_of(registry));
    });
  }

  void add_registries() {
    const auto plain = [](std::uint64_t Registry::*member) {
      return [member](const Registry& registry) { return product(registry.*member, 1); };
    };
    const auto pages = [](std::uint64_t Registry::*member) {
      return [member](const Registry& registry) { return product(registry.*member, kPageBytes); };
    };
    add_gauge("shmvisor_segments", "Segments that there are", plain(&Registry::segments));
    add_gauge("shmvisor_removed_segments", "Segments that are removed, and still attached",
              plain(&Registry::removed_segments));
    add_gauge("shmvisor_attaches", "Mappings of segments, the sum of their nattch",
              plain(&Registry::attaches));
    add_gauge("shmvisor_allocated_bytes", "Size of all segments, in whole pages",
              pages(&Registry::pages));
    add_gauge("shmvisor_resident_bytes", "Memory that they take", pages(&Registry::resident_pages));
    add_gauge("shmvisor_swapped_bytes", "Swap that they take", pages(&Registry::swapped_pages));
    add_gauge("shmvisor_limit_segments", "Most segments, shmmni", plain(&Registry::shmmni));
    add_gauge("shmvisor_limit_segment_bytes", "Largest segment, shmmax", plain(&Registry::shmmax));
    add_gauge("shmvisor_limit_allocated_bytes", "Most of all segments together, shmall",
              pages(&Registry::shmall));
  }

  void add_counts(const std::string& metric, const std::string& help, std::uint64_t Call::*member) {
    text_.counter(metric, help);
    for_each_registry([&](const Labels& labels, const RunSample&, const Registry& registry) {
      for (const Call& call : registry.calls) {
        text_.add(with(labels, "call", call.name), std::to_string(call.*member));
      }
    });
  }

  void add_calls() {
    add_counts("shmvisor_calls", "Calls that were answered", &Call::calls);
    add_counts("shmvisor_call_errors", "Calls that failed", &Call::errors);
    text_.counter("shmvisor_refusals", "Calls that a limit or a right refused");
    for_each_registry([&](const Labels& labels, const RunSample&, const Registry& registry) {
      for (const auto& [reason, count] : registry.refusals) {
        text_.add(with(labels, "reason", reason), std::to_string(count));
      }
    });
    text_.histogram("shmvisor_call_duration_seconds",
                    "From when shmvisor began with a call until it was answered");
    for_each_registry([&](const Labels& labels, const RunSample& run, const Registry& registry) {
      for (const Call& call : registry.calls) {
        add_durations(with(labels, "call", call.name), run.bounds_ns, call);
      }
    });
  }

  void add_durations(const Labels& labels, const std::vector<std::uint64_t>& bounds_ns,
                     const Call& call) {
    std::uint64_t sum = 0;
    for (std::size_t place = 0; place < call.within.size(); ++place) {
      sum += call.within[place];
      const std::string bound = place < bounds_ns.size() ? bound_text(bounds_ns[place]) : "+Inf";
      text_.add(with(labels, "le", bound), std::to_string(sum), "_bucket");
    }
    text_.add(labels, std::to_string(sum), "_count");
    text_.add(labels, seconds_text(call.took_ns), "_sum");
  }

  const std::vector<Named>& runs_;
  MetricsText text_;
};

}  // namespace

std::string run_metrics(const Scrape& scrape, MetricsText::Format format) {
  const auto runs = named(scrape);
  return Writer(runs, format).write(scrape);
}

}  // namespace shmvisor::client
