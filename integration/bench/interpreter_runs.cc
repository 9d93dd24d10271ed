#include "integration/bench/interpreter_runs.h"

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "integration/bench/launched.h"
#include "integration/bench/scratch_folder.h"
#include "integration/bench/worker_run.h"
#include "integration/bench/x11_run.h"

namespace shmvisor {
namespace {

// Each is told how many milliseconds to measure, and prints nanoseconds. The first calls are not
// measured: what a caller attaches often costs less than what it attaches once.

constexpr const char* kPhp = R"(
function once() { shm_detach(shm_attach(0x5eed, 4096)); }
$kept = shm_attach(0x5eed, 4096);
for ($i = 0; $i < 64; $i++) once();
$start = hrtime(true);
$end = $start + $argv[1] * 1000000;
$count = 0;
do { once(); $count++; $now = hrtime(true); } while ($now < $end);
echo ($now - $start) / $count, "\n";
shm_remove($kept);
)";

constexpr const char* kPython = R"(
import sys, time, sysv_ipc
kept = sysv_ipc.SharedMemory(0x5eed, sysv_ipc.IPC_CREX, size=4096)
def once():
    sysv_ipc.SharedMemory(0x5eed).detach()
def over():
    kept.remove()
)";

constexpr const char* kX11 = R"(
import ctypes, sys, time
from ctypes import byref, c_int, c_ulong, c_void_p
class Segment(ctypes.Structure):
    _fields_ = [("seg", c_ulong), ("shmid", c_int), ("shmaddr", c_void_p), ("read_only", c_int)]
libc, x11, xext = (ctypes.CDLL(name) for name in ("libc.so.6", "libX11.so.6", "libXext.so.6"))
libc.shmat.restype = x11.XOpenDisplay.restype = c_void_p
display = c_void_p(x11.XOpenDisplay(None))
def once():
    segment = Segment(0, libc.shmget(0, 1 << 20, 0o1600), None, 0)
    segment.shmaddr = libc.shmat(segment.shmid, None, 0)
    assert segment.shmid >= 0 and xext.XShmAttach(display, byref(segment))
    x11.XSync(display, 0)
    libc.shmctl(segment.shmid, 0, None)
    xext.XShmDetach(display, byref(segment))
    libc.shmdt(c_void_p(segment.shmaddr))
    x11.XSync(display, 0)
def over():
    pass
)";

// Behind either, which say what once() and over() are.
constexpr const char* kPythonTiming = R"(
for _ in range(64):
    once()
start = time.monotonic_ns()
end = start + int(sys.argv[1]) * 1000000
count = 0
while True:
    once()
    count += 1
    now = time.monotonic_ns()
    if now >= end:
        break
print((now - start) / count)
over()
)";

Outcome nanoseconds_of(const Placement& placement, std::vector<std::string> words) {
  std::vector<std::string> command = placement.prefix;
  for (std::string& word : words) command.push_back(std::move(word));
  const Finished finished = run_to_end(command);
  if (!finished.ok()) return Outcome::none(finished.complaint());
  char* end = nullptr;
  const double nanoseconds = std::strtod(finished.output.c_str(), &end);
  if (end == finished.output.c_str()) return Outcome::none("it printed no number");
  return Outcome::of(nanoseconds);
}

std::string milliseconds_of(const Placement& placement) {
  return std::to_string(placement.budget.count());
}

std::vector<std::string> timed_python(const std::string& program, const Placement& placement) {
  return {"/usr/bin/python3", "-c", program + kPythonTiming, milliseconds_of(placement)};
}

}  // namespace

Outcome run_php_in(const Placement& placement) {
  if (!on_path("php")) return Outcome::none("php is missing (Debian package php-cli)");
  return nanoseconds_of(placement, {"php", "-r", kPhp, milliseconds_of(placement)});
}

Outcome run_python_in(const Placement& placement) {
  if (!run_to_end({"/usr/bin/python3", "-c", "import sysv_ipc"}).ok()) {
    return Outcome::none("sysv_ipc is missing (Debian package python3-sysv-ipc)");
  }
  return nanoseconds_of(placement, timed_python(kPython, placement));
}

Outcome run_x11_images_in(const Placement& placement) {
  if (!on_path("Xvfb")) return Outcome::none("Xvfb is missing (Debian package xvfb)");
  if (!on_path("x11perf")) return Outcome::none("libXext is missing (Debian package x11-apps)");
  const ScratchFolder folder;
  return nanoseconds_of(placement, beside_x_server(folder.path(), timed_python(kX11, placement)));
}

}  // namespace shmvisor
