#include "supervisor/check/probe.h"

#include <system_error>
#include <utility>

namespace shmvisor {

Finding Finding::no(const std::string& step, Errno error) {
  return no(step + ": " + std::generic_category().message(error.value()));
}

Probe feature_probe(KernelFeature feature, std::function<Finding()> run, std::string otherwise) {
  return {std::string(KernelFeatures::name(feature)), std::move(run), std::move(otherwise),
          Probe::Need::kOptional, feature};
}

}  // namespace shmvisor
