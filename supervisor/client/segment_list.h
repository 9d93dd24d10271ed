// The registries of a run and their segments, as a client gets them.
//
// Each segment is the object of PROTOCOL.md with the member "registry" before the others.
// Errors: a Problem. Thread rule: one thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// Whether `wanted` means the registry `name`: the name itself, or the first digits of a
/// container's id, as docker and podman take them, with what is behind the id. An empty one means
/// all.
[[nodiscard]] bool means_registry(const std::string& wanted, const std::string& name);

/// A registry's name for people: printable, and of a container's id of 64 digits only the first 12,
/// as docker and podman show it.
[[nodiscard]] std::string shown_registry(const std::string& name);

/// `only`: one registry, see means_registry(). A Problem where that is none, or more than one.
Result<std::vector<Json>, Problem> fetch_registries(RunConnection& run, const std::string& only);

/// Says so on standard error where there is none: an agent that serves no container.
void tell_of_no_registry(const RunConnection& run, const std::vector<Json>& registries);

/// Visits the segments of one registry, as PROTOCOL.md has them; keeps none.
Result<void, Problem> for_each_segment(RunConnection& run, const std::string& registry,
                                       const std::function<void(const Json&)>& visit);

/// Gets a registry's name, and a segment.
using EachSegment = std::function<void(const std::string&, const Json&)>;
/// Gets the name of a registry whose segments cannot all be visited, and why; perhaps again.
using EachLeftOut = std::function<void(const std::string&, const Problem&)>;

/// The same of several registries: where the run can, all by one look at its processes. One that
/// ends meanwhile has no segments; one whose attaches cannot be counted is left out.
Result<void, Problem> for_each_segment(RunConnection& run,
                                       const std::vector<std::string>& registries,
                                       const EachSegment& visit, const EachLeftOut& left_out);

/// Those of these registries. Where there are several, those of one that ends meanwhile are left
/// out, and so are those of one whose attaches cannot be counted, which is said.
Result<std::vector<Json>, Problem> fetch_segments(RunConnection& run,
                                                  const std::vector<Json>& registries);
/// The same of fetch_registries().
Result<std::vector<Json>, Problem> fetch_segments(RunConnection& run, const std::string& only);

/// Those with this identifier, of any registry.
std::vector<Json> with_id(const std::vector<Json>& segments, int shmid);

/// The one with this identifier. A Problem where there is none, or one in several registries.
Result<Json, Problem> only_segment(RunConnection& run, const std::string& registry, int shmid);

/// shm_perm.mode of an object.
unsigned mode_of(const Json& segment);

}  // namespace shmvisor::client
