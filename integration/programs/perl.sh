#!/bin/bash
# Perl: the built-in shm functions and IPC::SharedMem of IPC::SysV.
. "$(dirname "$0")/../lib.sh" || exit 1
need perl perl
perl -MIPC::SharedMem -e 1 2>/dev/null || skip "IPC::SysV is missing (Debian package perl)"
enter_namespaces "$@"
make_scratch

cat >"$scratch/session.pl" <<'END'
use strict;
use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL IPC_PRIVATE IPC_RMID IPC_STAT S_IRUSR S_IWUSR ftok);
use IPC::SharedMem;
$| = 1;

my $id = shmget(4711, 2000, IPC_CREAT | IPC_EXCL | 0600);
defined $id or die "shmget: $!";
shmwrite($id, "from the parent", 10, 20) or die "shmwrite: $!";
my $child = fork;
if ($child == 0) {
  my $text;
  shmread(shmget(4711, 0, 0), $text, 10, 15) or die "shmread: $!";
  print "child reads: $text\n";
  shmwrite($id, "from the child!", 10, 15) or die "shmwrite: $!";
  exit 3;
}
waitpid($child, 0);
print "status ", $? >> 8, "\n";
my $text;
shmread($id, $text, 10, 15) or die "shmread: $!";
print "parent reads: $text\n";
print "beyond its end: ", (shmread($id, $text, 1990, 100) ? "read" : "refused"), "\n";
print "exclusive: ", (defined shmget(4711, 1, IPC_CREAT | IPC_EXCL) ? "made" : $!{EEXIST} ? "EEXIST" : $!), "\n";
shmctl($id, IPC_RMID, 0) or die "IPC_RMID: $!";
print "after IPC_RMID: ", (defined shmget(4711, 0, 0) ? "there" : $!{ENOENT} ? "ENOENT" : $!), "\n";

my $memory = IPC::SharedMem->new(IPC_PRIVATE, 8, S_IRUSR | S_IWUSR) or die "new: $!";
$memory->attach or die "attach: $!";
$memory->write(pack("S", 4712), 2, 2) or die "write: $!";
print "value ", unpack("S", $memory->read(2, 2)), " nattch ", $memory->stat->nattch, "\n";
$memory->detach or die "detach: $!";
$memory->remove or die "remove: $!";
END
cat >"$scratch/wanted" <<'END'
child reads: from the parent
status 3
parent reads: from the child!
beyond its end: refused
exclusive: EEXIST
after IPC_RMID: ENOENT
value 4712 nattch 1
END
supervised perl "$scratch/session.pl" >"$scratch/out" 2>"$scratch/err" ||
  fail "status $?: $(cat "$scratch/out" "$scratch/err")"
assert_silent "$scratch/err"
diff -u "$scratch/wanted" "$scratch/out" || fail "unexpected output"
assert_kernel_table_empty
