# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private redis-server for one test: a free port on loopback and a Unix
# socket in a directory of its own, nothing on disk, gone when the object is.
#
#   my $redis = RateLimit::Redis->start;
#   $redis->uri;  $redis->unix_uri;                # for RateLimitStorage
#   $redis->call('GET', 'key');                    # ask it; dies on an error
#   $redis->freeze;  $redis->thaw;  $redis->kill;  $redis->restart;
#
# With the clock of an httpd, whose configuration names it before it runs:
#
#   my $redis = RateLimit::Redis->prepare;
#   my $h = RateLimit::Httpd->start(faketime => 1, conf => ... $redis->uri ...);
#   $redis->launch(clock => $h);
package RateLimit::Redis;
use strict;
use warnings;

use IO::Handle ();
use IO::Socket::INET ();
use POSIX qw(WNOHANG);
use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep time);
use RateLimit::Place qw(slurp_if_there public_tempdir free_port port_is_free);

my %running;
my $owner = $$;

# prepare, and launch.
#   conf   lines of redis.conf, in one text
#   name   of the program (redis-server); args, what it is given first
#   clock  a RateLimit::Httpd with faketime
#   bus    1: the port 10000 above is free, too
sub start {
    my ($class, %arg) = @_;
    my $why;
    for (1 .. 5) {
        my $self = $class->prepare(%arg);
        return $self if eval { $self->launch; 1 };
        $why = $@;
        last if $why !~ /Address already in use/;
    }
    die $why;
}

sub prepare {
    my ($class, %arg) = @_;
    return bless { arg => \%arg, dir => public_tempdir('redis'),
                   port => $arg{bus} ? _port_with_bus() : free_port() }, $class;
}

# Of a cluster: its servers talk to each other on a port 10000 above.
sub _port_with_bus {
    for (1 .. 200) {
        my $port = free_port();
        return $port if port_is_free($port + 10_000);
    }
    die "no free port with a free one 10000 above\n";
}

sub port     { $_[0]{port} }
sub pid      { $_[0]{pid} }
sub dir      { "$_[0]{dir}" }
sub socket   { "$_[0]{dir}/redis.sock" }
sub uri      { "redis://127.0.0.1:$_[0]{port}/0" }
sub unix_uri { "redis+unix://$_[0]{dir}/redis.sock?db=0" }
sub log      { slurp_if_there("$_[0]{dir}/log") }

# Starts it and returns when it answers.
sub launch {
    my ($self, %arg) = @_;
    my $dir = $self->{dir};
    $self->{arg} = { %{ $self->{arg} }, %arg };
    _spew("$dir/redis.conf", <<"END" . ($self->{arg}{conf} // '') . "\n");
bind 127.0.0.1
port $self->{port}
unixsocket $dir/redis.sock
unixsocketperm 777
dir $dir
logfile $dir/log
save ""
appendonly no
daemonize no
END
    my %env = $self->{arg}{clock} ? $self->{arg}{clock}->clock : ();
    my @command = ('env', (map { "$_=$env{$_}" } sort keys %env),
                   $self->{arg}{name} || 'redis-server', "$dir/redis.conf",
                   @{ $self->{arg}{args} || [] });
    # A test that is killed must not leave its server behind.
    unshift @command, qw(setpriv --pdeathsig KILL)
        if grep { -x "$_/setpriv" } split /:/, $ENV{PATH};
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    weaken($running{$pid} = $self);
    my $until = time() + 20;
    until ($self->is_up) {
        if (waitpid($pid, WNOHANG) != 0 || time() > $until) {
            my $why = $self->log . slurp_if_there("$dir/stdout");
            $self->stop;
            die "redis-server did not start:\n$why";
        }
        sleep 0.01;
    }
    return $self;
}

# Does it say anything at all, be it that it wants a password?
sub is_up {
    my ($self) = @_;
    return defined eval { local $self->{connection}; $self->raw('PING') };
}

# What it answers to a command: a text, a number, undef, or a list of these;
# an error as a reference to its text.
sub raw {
    my ($self, @command) = @_;
    my $socket = $self->{connection} ||= IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 10)
        or die "no connection to redis: $!\n";
    if (!eval {
            local $SIG{PIPE} = 'IGNORE';
            print $socket sprintf("*%d\r\n", scalar @command),
                map { sprintf "\$%d\r\n%s\r\n", length, $_ } @command
                or die "redis is gone\n";
            $socket->flush;
            1;
        }) {
        delete $self->{connection};
        die $@;
    }
    return _reply($socket);
}

# The same; dies on an error, and connects anew if its connection has gone.
sub call {
    my ($self, @command) = @_;
    my $reply = eval { $self->raw(@command) };
    if ($@) {
        delete $self->{connection};
        $reply = $self->raw(@command);
    }
    die "redis: $$reply\n" if ref $reply eq 'SCALAR';
    return $reply;
}

# All keys that there are, sorted.
sub keys_there { return sort @{ $_[0]->call('KEYS', '*') } }

# A fixed window that counts an address here, as it is kept: "<start> <units>",
# or '' if none does. Of a replica as well.
sub counter_of {
    my ($self, $address) = @_;
    # An error where there is no cluster; then there is no need either.
    eval { $self->call('READONLY') };
    my ($key) = @{ $self->call('KEYS', "*{$address}*") };
    return defined $key ? $self->call('GET', $key) // '' : '';
}

# How often each command was called since the last reset: { evalsha => 3 }.
# Commands inside of scripts are counted as well.
sub stats {
    my ($self) = @_;
    return { $self->call('INFO', 'commandstats')
                 =~ /^cmdstat_([\w|]+):calls=(\d+)/mg };
}
sub reset_stats { $_[0]->call('CONFIG', 'RESETSTAT') }

sub freeze { CORE::kill(STOP => $_[0]{pid}) }
sub thaw   { CORE::kill(CONT => $_[0]{pid}) }

# Without a word, as if its machine were gone.
sub kill {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    delete $self->{connection};
    CORE::kill(KILL => $pid);
    waitpid $pid, 0;
    return;
}

sub stop {
    my ($self) = @_;
    my $pid = $self->{pid} or return;
    return if $$ != $owner;
    CORE::kill(CONT => $pid);
    CORE::kill(TERM => $pid);
    for (1 .. 200) {
        if (waitpid($pid, WNOHANG) != 0) {
            delete $running{$pid};
            delete @$self{qw(pid connection)};
            return;
        }
        sleep 0.01;
    }
    return $self->kill;
}

# On the same port; %arg as launch.
sub restart {
    my ($self, %arg) = @_;
    $self->stop;
    return $self->launch(%arg);
}

### The rest is for this file alone

sub _reply {
    my ($socket) = @_;
    local $/ = "\r\n";
    my $line = readline $socket;
    defined $line or die "redis is gone\n";
    chomp $line;
    my ($type, $rest) = $line =~ /^(.)(.*)$/s;
    return $rest if $type eq '+' || $type eq ':';
    return \$rest if $type eq '-';
    return undef if $rest < 0;
    return [map { _reply($socket) } 1 .. $rest] if $type eq '*';
    my $text = '';
    while (length $text < $rest + 2) {
        read $socket, $text, $rest + 2 - length $text, length $text
            or die "redis is gone\n";
    }
    return substr $text, 0, $rest;
}

sub _spew {
    my ($file, $content) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print $fh $content;
    close $fh or die "$file: $!";
}

sub DESTROY { local ($?, $@, $!); $_[0]->stop }

END {
    if ($$ == $owner) {
        local $?;
        $_ && $_->stop for values %running;
    }
}

1;
