// A look at a process of which a thread waits in a call that the calling thread serves.
//
// The look takes place in that thread. It waits for the process's mmap_lock and exec_update_lock,
// as the copy of the answer does (process_vm_writev(2)): a process that keeps the thread by the
// look could keep it by the copy. The look waits for no other process.
//
// Answers nothing where the process is to be looked at as others are (ProcessLook): it has many
// mappings, or is gone. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "emulation/memmap/file_identity.h"
#include "supervisor/attaches/counted_spaces.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

/// How often the process maps the file. Precondition: no other process is served, so that nobody
/// has what it left by an exec (KeptMaps).
[[nodiscard]] std::optional<std::uint64_t> count_alone(pid_t waiting, const FileIdentity& file,
                                                       const KernelFeatures& features);

/// Precondition: all others are at rest (KeptMaps), so that none of them shares its address
/// space. `distinct`: what is known of the file (KnownMappings::distinct()).
[[nodiscard]] std::optional<std::uint64_t> count_among_resting(
    pid_t waiting, const FileIdentity& file, const KernelFeatures& features,
    const std::shared_ptr<const DistinctProcesses>& distinct);

/// How often the process maps each of the files. It need be no other's than its own: an address
/// space that it shares is counted by this as well. Nothing where that takes 5 ms of CPU time, or
/// the kernel has no PROCMAP_QUERY.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> count_anew(
    pid_t waiting, std::span<const FileIdentity> files, const KernelFeatures& features);

}  // namespace shmvisor
