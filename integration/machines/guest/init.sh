#!/bin/bash
# The first process of a machine: makes it usable, runs the tests, and turns it off. Results go to the second
# serial line, where no word of the kernel's comes between.
export PATH=/usr/bin HOME=/root SHMVISOR=/usr/bin/shmvisor
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm && mount -t devpts devpts /dev/pts && mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
ln -s /proc/self/fd /dev/fd
for module in /lib/modules/*.ko; do [ ! -e "$module" ] || busybox insmod "$module"; done
busybox ip link set lo up 2>/dev/null
# As an init of a distribution leaves it.
ulimit -Hn 1048576
chmod 666 /dev/fuse 2>/dev/null
results=/dev/$(sed -n 's/.*shmvisor_results=\([^ ]*\).*/\1/p' /proc/cmdline)
busybox stty -F "$results" raw
exec >"$results" </dev/null
echo "KERNEL $(uname -r)"
words=$(sed -n 's/.*shmvisor_tests=\([^ ]*\).*/\1/p' /proc/cmdline)
# shellcheck disable=SC2086
bash /integration/machines/guest/tests.sh ${words//,/ }
echo END
# The serial line is written out before the machine goes.
sleep 1
busybox poweroff -f
