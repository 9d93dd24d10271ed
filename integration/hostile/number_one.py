#!/usr/bin/python3
"""number_one.py SHMVISOR SOCKET: the process with number 1 of a pid namespace tries to set limits of the run.

Its command joins the run. Number 1 then enters the namespaces that the command was given for its files in /proc,
and writes to these files itself. For each file it prints what it reads, and the errno of what it writes."""

import ctypes
import errno
import os
import subprocess
import sys
import time

LIMITS = ('shmmni', 'shmmax', 'shmall', 'shm_rmid_forced')


def joined_command(shmvisor, socket):
    command = 'echo $$ >began.new; mv began.new began; exec sleep 60'
    joiner = subprocess.Popen([shmvisor, 'run', '--join', socket, '--userns', '--proc=fuse', '--log-level=off', '--',
                               'sh', '-c', command])
    deadline = time.monotonic() + 30
    while not os.path.exists('began'):
        if time.monotonic() > deadline or joiner.poll() is not None:
            sys.exit('no joined command')
        time.sleep(0.02)
    with open('began', encoding='ascii') as text:
        return joiner, int(text.read())


def enter(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    opened = [os.open(f'/proc/{pid}/ns/{kind}', os.O_RDONLY) for kind in ('user', 'mnt')]
    for namespace in opened:
        if libc.setns(namespace, 0) != 0:
            sys.exit(f'setns: {errno.errorcode[ctypes.get_errno()]}')


def write_one(name):
    path = '/proc/sys/kernel/' + name
    with open(path, encoding='ascii') as limit:
        before = limit.read().strip()
    try:
        with open(path, 'w', encoding='ascii') as limit:
            limit.write('1')
        return before, 'written'
    except OSError as error:
        return before, errno.errorcode[error.errno]


def main():
    if os.getpid() != 1:
        sys.exit(f'this process has the number {os.getpid()}')
    joiner, command = joined_command(*sys.argv[1:3])
    enter(command)
    for name in LIMITS:
        print(name, *write_one(name))
    joiner.kill()
    joiner.wait()


main()
