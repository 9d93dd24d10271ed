// `shmvisor serve-metrics [--listen ADDRESS:PORT|PATH] [--control PATH...]`
#pragma once

#include "supervisor/cli/subcommand.h"
#include "supervisor/client/serve_metrics.h"

namespace shmvisor {

class ServeMetricsSubcommand : public Subcommand {
 public:
  explicit ServeMetricsSubcommand(CLI::App& parent);

 private:
  int run(KernelFeatures& features) override;

  client::MetricsOptions options_;
};

}  // namespace shmvisor
