"""What the parts of the transcript share: operations whose results are printed, errors by name."""
import ctypes
import errno
import os
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]

IPC_CREAT, IPC_PRIVATE, IPC_RMID = 0o1000, 0, 0
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x08000000, 0x10000000, 0x20000000
NO_ADDRESS = ctypes.c_void_p(-1).value

TABLE = "/proc/sysvipc/shm"
SYSCTLS = ["shmmax", "shmall", "shmmni", "shm_rmid_forced", "shm_next_id"]


def sysctl(name):
    return "/proc/sys/kernel/" + name


def heading(text):
    print("==", text, flush=True)


def attempt(operation, *arguments):
    """The result, or the name of the errno."""
    try:
        return operation(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def call(function, *arguments):
    """A call of libc's, in the same terms."""
    result = function(*arguments)
    if result in (-1, NO_ADDRESS):
        return errno.errorcode[ctypes.get_errno()]
    return result


def text_of(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(4096)


def in_child(body, *arguments):
    """Runs the body in a forked child, so that it may change what cannot be changed back."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body(*arguments)
            sys.stdout.flush()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("a child of the transcript failed")


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
