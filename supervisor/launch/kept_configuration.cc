#include "supervisor/launch/kept_configuration.h"

#include <utility>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"

namespace shmvisor {
namespace {

constexpr const char* kText = "configuration";
/// Of the program before.
constexpr const char* kTextBefore = "configuration before";

}  // namespace

std::vector<config::FileText> configuration_to_use(const std::string& path) {
  const KeptStore& store = KeptStore::ours();
  if (store.resumes()) {
    auto kept = config::from_one_text(store.text(went_back() ? kTextBefore : kText));
    if (!kept.empty() && kept.front().path == path) return kept;
  }
  return config::read_files(path);
}

void keep_configuration(const std::vector<config::FileText>& files) {
  if (auto text = config::as_one_text(files)) KeptStore::ours().note_text(kText, std::move(*text));
}

Result<void, std::string> read_configuration_anew() {
  KeptStore& store = KeptStore::ours();
  const auto known = config::from_one_text(store.text(kText));
  if (known.empty()) return {};
  auto text = config::as_one_text(config::read_files(known.front().path));
  if (!text) return text.error().line();
  store.note_text(kText, std::move(*text));
  return {};
}

std::string configuration_in(const UniqueFd& handover) {
  return KeptStore::text_in(handover, kText);
}

NextConfiguration::NextConfiguration(std::string text) : ours_(KeptStore::ours().text(kText)) {
  KeptStore::ours().note_text(kTextBefore, ours_);
  KeptStore::ours().note_text(kText, std::move(text));
}

NextConfiguration::~NextConfiguration() { KeptStore::ours().note_text(kText, ours_); }

}  // namespace shmvisor
