// FakeSubject: whoever a test says is asking. Fields are read through the Subject's questions;
// `groups_read` and `capabilities_read` count the questions that a real one answers slowly.
#pragma once

#include <set>

#include "emulation/ipc/subject.h"

namespace shmvisor {

class FakeSubject : public Subject {
 public:
  uid_t uid() override { return real_uid; }
  uid_t euid() override { return effective_uid; }
  gid_t egid() override { return effective_gid; }
  bool in_group(gid_t gid) override {
    ++groups_read;
    return gid == effective_gid || groups.contains(gid);
  }
  bool capable(Capability capability) override {
    ++capabilities_read;
    return capabilities.contains(capability);
  }

  void become(uid_t uid, gid_t gid) {
    real_uid = effective_uid = uid;
    effective_gid = gid;
  }

  uid_t real_uid = 1000;
  uid_t effective_uid = 1000;
  gid_t effective_gid = 1000;
  std::set<gid_t> groups;
  std::set<Capability> capabilities;
  int groups_read = 0;
  int capabilities_read = 0;
};

}  // namespace shmvisor
