# Makes shm calls from Perl while signals come, whose handler Perl installs without SA_RESTART.
#
# A call that a signal interrupted (EINTR) has done nothing, and is made again. What was done must be there
# at the end, once. Prints the rate of EINTR on standard error.
use strict;
use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL IPC_PRIVATE IPC_RMID IPC_STAT shmat shmdt memread memwrite);
use IPC::SharedMem;
use Time::HiRes qw(setitimer ITIMER_REAL);

my ($rounds) = @ARGV;
my $seconds_between_signals = 1 / 1400;
my $page = 4096;
my ($calls, $interrupted, $signals) = (0, 0, 0);

# The call's result, once no signal interrupts it. Of all errors EINTR alone is expected.
sub again {
  my ($what, $call) = @_;
  for (;;) {
    $calls++;
    my $result = $call->();
    return $result if defined $result;
    $!{EINTR} or die "$what: $!";
    $interrupted++;
  }
}

sub nattch {
  my ($id) = @_;
  my $data = '';
  again('IPC_STAT', sub { shmctl($id, IPC_STAT, $data) });
  return 'IPC::SharedMem::stat'->new->unpack($data)->nattch;
}

$SIG{ALRM} = sub { $signals++ };
setitimer(ITIMER_REAL, $seconds_between_signals, $seconds_between_signals);
my $shared = again('shmget', sub { shmget(IPC_PRIVATE, $page, IPC_CREAT | 0600) });
my @held;
for my $round (1 .. $rounds) {
  my $id = again('shmget', sub { shmget(0x519a, $page, IPC_CREAT | IPC_EXCL | 0600) });
  my $at = again('shmat', sub { shmat($id, undef, 0) });
  memwrite($at, "here", 0, 4);
  memread($at, my $text, 0, 4);
  print "wrong bytes\n" if $text ne 'here';
  my $attached = nattch($id);
  print "round $round nattch $attached\n" if $attached != 1;
  again('shmdt', sub { shmdt($at) });
  again('IPC_RMID', sub { shmctl($id, IPC_RMID, 0) });
  push @held, again('shmat', sub { shmat($shared, undef, 0) });
  if (@held > 8) {
    my $oldest = shift @held;
    again('shmdt', sub { shmdt($oldest) });
  }
}
setitimer(ITIMER_REAL, 0);
$SIG{ALRM} = 'IGNORE';
open(my $table, '<', '/proc/sysvipc/shm') or die "table: $!";
my @lines = <$table>;
print 'Perl segments and attaches [', join(', ', map { (split)[6] } @lines[1 .. $#lines]), "]\n";
defined shmdt($_) or die "shmdt: $!" for @held;
shmctl($shared, IPC_RMID, 0) or die "IPC_RMID: $!";
print 'Perl signals came: ', ($signals > 20 ? 'True' : 'False'), "\n";
printf STDERR "Perl: %d of %d calls interrupted (%.1f %%), %d signals\n", $interrupted, $calls,
  100 * $interrupted / $calls, $signals;
