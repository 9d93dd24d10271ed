#include "supervisor/cli/serve_metrics_subcommand.h"

#include "supervisor/cli/client_subcommands.h"
#include "supervisor/http/listening_place.h"

namespace shmvisor {

ServeMetricsSubcommand::ServeMetricsSubcommand(CLI::App& parent)
    : Subcommand(parent, "serve-metrics", "Serve metrics of all runs and agents, as OpenMetrics",
                 {.examples = "shmvisor serve-metrics\n"
                              "shmvisor serve-metrics --listen [::1]:9000\n"
                              "shmvisor serve-metrics --listen /run/shmvisor/metrics.socket"}) {
  options_.place = "127.0.0.1:9477";
  app().group(kLookGroup);
  app()
      .add_option("--listen", options_.place,
                  "Listen there: an address and a port, or the path of a Unix socket. Default: " +
                      options_.place)
      ->check(ListeningPlace::check)
      ->type_name("PLACE");
  app()
      .add_option("--control", options_.sockets,
                  "Also the run with this control socket; may be repeated")
      ->check(check_path)
      ->allow_extra_args(false)
      ->type_name("PATH");
}

int ServeMetricsSubcommand::run(KernelFeatures& /*features*/) {
  const auto served = client::serve_metrics(options_);
  if (served) return 0;
  return say_failed(served.error().text);
}

}  // namespace shmvisor
