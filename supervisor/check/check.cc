#include "supervisor/check/check.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <iomanip>
#include <ostream>

#include "supervisor/check/probes.h"

namespace shmvisor {
namespace {

constexpr std::array<std::string_view, 3> kTitles = {"feature", "found", "what that means"};

struct Row {
  std::string name;
  std::string found;
  std::string meaning;
};

/// Probes wait for their children, which an inherited SIG_IGN for SIGCHLD makes impossible.
class DefaultChildSignal {
 public:
  DefaultChildSignal() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    restore_ = ::sigaction(SIGCHLD, &action, &old_) == 0;
  }
  ~DefaultChildSignal() {
    if (restore_) ::sigaction(SIGCHLD, &old_, nullptr);
  }
  DefaultChildSignal(const DefaultChildSignal&) = delete;
  DefaultChildSignal& operator=(const DefaultChildSignal&) = delete;

 private:
  struct sigaction old_ {};
  bool restore_ = false;
};

Finding find(const Probe& probe, KernelFeatures& features) {
  if (!probe.feature) return probe.run();
  if (!features.usable(*probe.feature)) return {Finding::State::kSwitchedOff, {}, {}};
  Finding finding = probe.run();
  if (finding.state == Finding::State::kNo) features.mark_absent(*probe.feature);
  return finding;
}

bool is_fatal(const Probe& probe, const Finding& finding) {
  return probe.need == Probe::Need::kFatal && finding.state == Finding::State::kNo;
}

std::string found_text(const Finding& finding) {
  switch (finding.state) {
    case Finding::State::kYes:
      return finding.detail.empty() ? "yes" : "yes: " + finding.detail;
    case Finding::State::kNo:
      return "no: " + finding.detail;
    case Finding::State::kSwitchedOff:
      return "switched off";
    case Finding::State::kNote:
      break;
  }
  return finding.detail;
}

std::string meaning_text(const Probe& probe, const Finding& finding) {
  if (is_fatal(probe, finding)) return "fatal: " + probe.otherwise;
  if (finding.state == Finding::State::kNo || finding.state == Finding::State::kSwitchedOff) {
    return "instead: " + probe.otherwise;
  }
  return finding.meaning;
}

void print(const std::vector<Row>& rows, std::ostream& out) {
  std::size_t name_width = kTitles[0].size();
  std::size_t found_width = kTitles[1].size();
  for (const Row& row : rows) {
    name_width = std::max(name_width, row.name.size());
    found_width = std::max(found_width, row.found.size());
  }
  const auto line = [&](std::string_view name, std::string_view found, std::string_view meaning) {
    out << std::left << std::setw(static_cast<int>(name_width)) << name << "  ";
    // No blanks at the end of a line.
    if (meaning.empty()) {
      out << found << '\n';
    } else {
      out << std::setw(static_cast<int>(found_width)) << found << "  " << meaning << '\n';
    }
  };
  line(kTitles[0], kTitles[1], kTitles[2]);
  for (const Row& row : rows) line(row.name, row.found, row.meaning);
}

}  // namespace

bool run_probes(std::span<const Probe> probes, std::ostream& out, KernelFeatures& features) {
  const DefaultChildSignal children_can_be_waited_for;
  std::vector<Row> rows;
  std::string missing;
  for (const Probe& probe : probes) {
    const Finding finding = find(probe, features);
    rows.push_back({probe.name, found_text(finding), meaning_text(probe, finding)});
    if (is_fatal(probe, finding)) missing += (missing.empty() ? "" : ", ") + probe.name;
  }
  print(rows, out);
  if (missing.empty()) {
    out << "\nshmvisor can run here.\n";
    return true;
  }
  out << "\nshmvisor cannot run here: " << missing << ".\n";
  return false;
}

bool run_check(std::ostream& out, KernelFeatures& features) {
  std::vector<Probe> probes = environment_probes();
  for (auto* const more : {notify_probes, process_probes, memfd_probes, proc_mount_probes}) {
    std::ranges::move(more(), std::back_inserter(probes));
  }
  return run_probes(probes, out, features);
}

}  // namespace shmvisor
