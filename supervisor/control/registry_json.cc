#include "supervisor/control/registry_json.h"

#include <array>
#include <cstdio>
#include <string>

namespace shmvisor::control {
namespace {

std::string octal_text(mode_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%#o", mode);
  return text.data();
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

Json describe(const NamedRegistry& named) {
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
  described["shm_rmid_forced"] = named.registry->rmid_forced();
  return described;
}

std::vector<FileIdentity> files_of(std::vector<ShmTableRow>& rows, const Registry& registry) {
  std::vector<FileIdentity> files;
  const auto state = registry.read();
  std::erase_if(rows, [&](const ShmTableRow& row) {
    const auto found = state->find(row.id);
    if (found) files.push_back((*found)->memory().identity());
    return !found;
  });
  return files;
}

Json describe(const ShmTableRow& row, const FileIdentity& file) {
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
          {"device", file.device},
          {"inode", file.inode}};
}

}  // namespace shmvisor::control
