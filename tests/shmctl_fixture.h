// The fixture of tests of shmctl(2).
#pragma once

#include "tests/fakes/shm_test.h"

namespace shmvisor {

inline constexpr key_t kKey = 0x1234abcd;

class ShmctlTest : public ShmTest {
 protected:
  ShmctlTest() : stranger(host, 815) { stranger.subject().become(5, 5); }

  static struct shmid_ds wish(uid_t uid, gid_t gid, unsigned short mode) {
    struct shmid_ds ds {};
    ds.shm_perm.uid = uid;
    ds.shm_perm.gid = gid;
    ds.shm_perm.mode = mode;
    return ds;
  }

  FakeCaller stranger;
};

}  // namespace shmvisor
