#include "supervisor/control/registry_json.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/session/orphan_search.h"

namespace shmvisor::control {
namespace {

std::string octal_text(mode_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%#o", mode);
  return text.data();
}

/// `room`: for users in the reply.
Json users_of(const RegistryState& state, const UserLimits* limits, std::size_t& room) {
  if (limits == nullptr) return {};
  const auto settings_of = [](const LimitSettings& settings) {
    Json described = Json::object();
    if (settings.shmmax) described["shmmax"] = *settings.shmmax;
    if (settings.shmall) described["shmall"] = *settings.shmall;
    if (settings.shmmni) described["shmmni"] = *settings.shmmni;
    return described;
  };
  // Those that have limits of their own come first, then whoever has segments.
  const std::size_t most = std::min(kUsersOfARegistry, room);
  std::vector<uid_t> uids;
  for (const auto& [uid, own] : limits->of_one) {
    if (uids.size() == most) break;
    uids.push_back(uid);
  }
  std::set<uid_t> others;
  state.for_each([&](const std::shared_ptr<Segment>& segment) {
    if (!limits->of_one.contains(segment->account())) others.insert(segment->account());
  });
  for (const uid_t uid : others) {
    if (uids.size() == most) break;
    uids.push_back(uid);
  }
  room -= uids.size();
  Json users = Json::array();
  for (const uid_t uid : uids) {
    const UserUsage usage = state.usage_of(uid);
    users.push_back({{"uid", uid},
                     {"limits", settings_of(limits->of(uid))},
                     {"segments", usage.segments},
                     {"pages", usage.pages}});
  }
  return {{"default", settings_of(limits->of_each)},
          {"users", std::move(users)},
          {"users_left_out", limits->of_one.size() + others.size() - uids.size()}};
}

}  // namespace

std::string key_text(key_t key) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%08x", static_cast<unsigned>(key));
  return text.data();
}

Json limits_of(const Limits& limits) {
  return {{"shmmax", limits.shmmax},
          {"shmall", limits.shmall},
          {"shmmni", limits.shmmni},
          {"shmmin", Limits::shmmin}};
}

Json describe(const NamedRegistry& named, std::size_t& room_for_users) {
  const PageUsage usage = named.registry->usage();
  Json described;
  described["name"] = named.name;
  described["ipc_namespace"] = named.ipc_namespace == 0 ? Json() : Json(named.ipc_namespace);
  described["private_ipc"] = named.private_ipc;
  const auto state = named.registry->read();
  described["limits"] = limits_of(state->limits());
  described["used"] = {{"segments", state->in_use()},
                       {"pages", state->total_pages()},
                       {"resident_pages", usage.resident},
                       {"swapped_pages", usage.swapped}};
  described["user_limits"] = users_of(*state, named.user_limits.get(), room_for_users);
  described["shm_rmid_forced"] = named.registry->rmid_forced();
  return described;
}

std::vector<SegmentFacts> facts_of(std::vector<ShmTableRow>& rows, const Registry& registry) {
  std::vector<SegmentFacts> facts;
  const auto state = registry.read();
  std::erase_if(rows, [&](const ShmTableRow& row) {
    const auto found = state->find(row.id);
    if (found) {
      facts.push_back(
          {*found, (*found)->memory().identity(), awaits_its_first_user(*state, **found)});
    }
    return !found;
  });
  return facts;
}

Json describe(const ShmTableRow& row, const SegmentFacts& facts) {
  const ShmidDs& ds = row.ds;
  return {{"shmid", row.id},
          {"key", key_text(ds.key)},
          {"uid", ds.uid},
          {"gid", ds.gid},
          {"cuid", ds.cuid},
          {"cgid", ds.cgid},
          {"mode", octal_text(ds.mode & abi::kPermissionBits)},
          {"segsz", ds.segsz_bytes},
          {"nattch", ds.nattch},
          {"cpid", ds.cpid},
          {"lpid", ds.lpid},
          {"atime", ds.atime},
          {"dtime", ds.dtime},
          {"ctime", ds.ctime},
          {"resident_pages", row.usage.resident},
          {"swapped_pages", row.usage.swapped},
          {"dest", (ds.mode & abi::kShmDest) != 0},
          {"locked", (ds.mode & abi::kShmLocked) != 0},
          {"awaits_first_user", facts.awaits_first_user},
          {"device", facts.file.device},
          {"inode", facts.file.inode}};
}

}  // namespace shmvisor::control
