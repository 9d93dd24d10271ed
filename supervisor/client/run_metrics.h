// run_metrics(): the metrics of all runs (README, "Metrics"). Their names are promised: a change of
// them breaks the dashboards and alarms of others.
//
// Thread rule: any thread.
#pragma once

#include <string>

#include "supervisor/client/metrics_text.h"
#include "supervisor/client/run_sample.h"

namespace shmvisor::client {

[[nodiscard]] std::string run_metrics(const Scrape& scrape, MetricsText::Format format);

}  // namespace shmvisor::client
