// `shmvisor serve-metrics`: an exporter for all runs and agents of this user, by HTTP.
//
// At each scrape it looks for control sockets anew and asks all runs at once. A scrape takes kBound
// at most; a run that has not answered by then is left out, and counted. Several scrapes within
// kOldest, however many ask, are one: a crowd of clients is not felt by the runs.
//
// Errors: a Problem where it cannot listen. Thread rule: the main thread; ends by SIGINT, SIGTERM
// or SIGHUP.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

struct MetricsOptions {
  std::string place;                 ///< ADDRESS:PORT or a path: ListeningPlace
  std::vector<std::string> sockets;  ///< control sockets besides those at the default places
};

inline constexpr std::chrono::milliseconds kScrapeBound{4000};
inline constexpr std::chrono::milliseconds kOldestScrape{1000};

Result<void, Problem> serve_metrics(const MetricsOptions& options);

}  // namespace shmvisor::client
