// IPC namespaces that nothing in /proc shows: all that holds one of them for some seconds is a
// descriptor on its way through a socket, or a mount in a mount namespace that nobody lives in. Its
// segments are there when somebody comes back. Only where the kernel can be asked for such a
// namespace (Linux 6.18, as root): see limits.md.
#include <sys/mount.h>
#include <sys/socket.h>

#include "transcript.h"

enum { kKey = 0x4242, kBytes = 8192, kSeconds = 4 };
enum { kNsfsRoot = -10003 };

static int home;
static int home_mounts;

static int open_own(const char* name) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

static bool kernel_can_be_asked(void) {
  _Alignas(8) char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  struct file_handle* const handle = (struct file_handle*)bytes;
  int mount_id;
  handle->handle_bytes = MAX_HANDLE_SZ;
  if (name_to_handle_at(home, "", handle, &mount_id, AT_EMPTY_PATH) != 0) return false;
  const int opened = open_by_handle_at(kNsfsRoot, handle, O_PATH | O_CLOEXEC);
  return opened >= 0 && close(opened) == 0;
}

// Goes to a new namespace, makes a segment there, and returns the namespace's file.
static int begin(const char* text) {
  TRY(unshare(CLONE_NEWIPC));
  const int id = TRY(shm_get(kKey, kBytes, IPC_CREAT | 0600)) < 0 ? -1 : (int)shm_get(kKey, 0, 0);
  char* const at = (char*)shm_at(id, NULL, 0);
  strcpy(at, text);
  TRY(shm_dt(at));
  return open_own("ipc");
}

static void leave(int file) {
  TRY(setns(home, CLONE_NEWIPC));
  close(file);
  TRY(shm_get(kKey, 0, 0));
}

static void come_back(int file) {
  TRY(setns(file, CLONE_NEWIPC));
  const long id = TRY(shm_get(kKey, 0, 0));
  if (id >= 0) {
    const char* const at = (const char*)shm_at((int)id, NULL, SHM_RDONLY);
    say("the segment says %s", at);
  }
  TRY(shm_ctl((int)id, IPC_RMID, NULL));
  TRY(setns(home, CLONE_NEWIPC));
  close(file);
}

union Control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr align;
};

static void send_file(int socket, int file) {
  char byte = 0;
  struct iovec data = {&byte, 1};
  union Control control = {{0}};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
  struct cmsghdr* const part = CMSG_FIRSTHDR(&message);
  *part = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(part), &file, sizeof(int));
  TRY_VALUE(sendmsg(socket, &message, 0));
}

static int receive_file(int socket) {
  char byte;
  struct iovec data = {&byte, 1};
  union Control control = {{0}};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
  TRY_VALUE(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
  int file = -1;
  memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  return file;
}

int main(void) {
  home = open_own("ipc");
  home_mounts = open_own("mnt");
  if (!kernel_can_be_asked()) {
    say("end");
    return 0;
  }
  int ends[2];
  TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  const int queued = begin("what the socket holds");
  send_file(ends[0], queued);
  leave(queued);

  // The mount is in a mount namespace of which we keep the file alone.
  TRY(unshare(CLONE_NEWNS));
  TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  TRY(mount("none", "/mnt", "tmpfs", 0, NULL));
  const int place = open("/mnt/ipc", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  TRY(close(place));
  const int mounted = begin("what the mount holds");
  TRY(mount("/proc/self/ns/ipc", "/mnt/ipc", NULL, MS_BIND, NULL));
  leave(mounted);
  const int mounts = open_own("mnt");
  TRY(setns(home_mounts, CLONE_NEWNS));

  for (int i = 0; i < 10 * kSeconds; ++i) {
    usleep(100000);
    shm_get(1, 1, 0);
  }
  come_back(receive_file(ends[1]));
  TRY(setns(mounts, CLONE_NEWNS));
  come_back(open("/mnt/ipc", O_RDONLY | O_CLOEXEC));
  say("end");
  return 0;
}
