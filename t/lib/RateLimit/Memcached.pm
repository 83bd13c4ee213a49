# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private memcached for one test: a free port on loopback, gone when the
# object is.
#
#   my $m = RateLimit::Memcached->start(megabytes => 8, options => ['-M']);
#   $m->port;  $m->uri;  $m->say('get a');  $m->stats->{cmd_get};
#   $m->freeze;  $m->thaw;  $m->kill;  $m->start_again;
package RateLimit::Memcached;
use strict;
use warnings;

use IO::Socket::INET ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use RateLimit::Place qw(free_port);

my $owner = $$;

# megabytes of memory (64), options, threads (2).
sub start {
    my ($class, %arg) = @_;
    my $why = '';
    for (1 .. 5) {
        my $self = bless { %arg, port => free_port() }, $class;
        return $self if $self->start_again;
    }
    die "memcached did not start\n";
}

sub port { $_[0]{port} }
sub uri  { "memcached://127.0.0.1:$_[0]{port}" }

# On the same port as before, with nothing in it.
sub start_again {
    my ($self) = @_;
    my ($path) = grep { -x } map { "$_/memcached" }
        split(/:/, $ENV{PATH}), qw(/usr/bin /usr/local/bin);
    $path or die "no memcached: build-aux/install-deps.sh test\n";
    my @command = ($path, '-l', '127.0.0.1', '-p', $self->{port}, '-U', 0,
                   '-m', $self->{megabytes} || 64, '-t', $self->{threads} || 2,
                   $> ? () : ('-u', 'nobody'), @{ $self->{options} || [] });
    # A test that is killed must not leave its server behind.
    unshift @command, qw(setpriv --pdeathsig KILL)
        if grep { -x "$_/setpriv" } split /:/, $ENV{PATH};
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $until = time() + 10;
    while (time() < $until) {
        return 1 if eval { $self->say('version') =~ /^VERSION/ };
        last if waitpid($pid, WNOHANG);
        sleep 0.02;
    }
    $self->kill;
    return 0;
}

# It hangs: connections are taken and nothing is answered. And on again.
sub freeze { CORE::kill(STOP => $_[0]{pid}); _wait($_[0]{pid}, 'T') }
sub thaw   { CORE::kill(CONT => $_[0]{pid}); _wait($_[0]{pid}, '[RS]') }

# Until the process is in this state, all its threads included.
sub _wait {
    my ($pid, $state) = @_;
    for (1 .. 500) {
        my @other = grep { !/^\d+ \(.*\) $state/ } map {
            my $fh;
            open($fh, '<', $_) ? scalar readline $fh : ();
        } glob "/proc/$pid/task/*/stat";
        return if !@other;
        sleep 0.01;
    }
    die "memcached $pid does not get into state $state\n";
}

sub kill {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    CORE::kill(CONT => $pid);
    CORE::kill(KILL => $pid);
    waitpid $pid, 0;
}

# Says a line, and returns what is answered up to its end.
sub say {
    my ($self, @lines) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $self->{port},
                                       Timeout => 5) or die "connect: $!\n";
    print $socket map { "$_\r\n" } @lines;
    $socket->flush;
    my $answer = '';
    while (defined(my $line = readline $socket)) {
        $answer .= $line;
        last if $line =~ /^(?:END|OK|STORED|NOT_STORED|DELETED|NOT_FOUND|VERSION .*|ERROR|(?:CLIENT|SERVER)_ERROR .*)\r\n/;
    }
    return $answer =~ s/\r\n/\n/gr;
}

sub stats { return { $_[0]->say('stats') =~ /^STAT (\S+) (.*)$/mg } }

# The names of all that it holds now.
sub names {
    my ($self) = @_;
    my @names = $self->say('lru_crawler metadump all') =~ /^key=(\S+)/mg;
    return sort map { s/%([0-9A-Fa-f]{2})/chr hex $1/ger } @names;
}

sub DESTROY { local ($?, $@, $!); $_[0]->kill if $$ == $owner }

1;
