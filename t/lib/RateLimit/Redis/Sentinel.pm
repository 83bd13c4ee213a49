# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private Redis with two replicas and three sentinels, for one test.
#
#   my $s = RateLimit::Redis::Sentinel->start;
#   $s->uri;                      # for RateLimitStorage
#   $s->master->kill;             # which one that is now, as the sentinels say
#   $s->failover;                 # by command
#   $s->wait_for_another($old);   # until they agree on another master
package RateLimit::Redis::Sentinel;
use strict;
use warnings;

use Time::HiRes qw(sleep time);
use RateLimit::Redis ();

# name (mymaster);  down_after  in ms (500);  password  of the sentinels
sub start {
    my ($class, %arg) = @_;
    my $name = $arg{name} || 'mymaster';
    my $down_after = $arg{down_after} || 500;
    my $first = RateLimit::Redis->start(conf => "repl-diskless-sync-delay 0\n");
    my @servers = ($first, map {
        RateLimit::Redis->start(conf => <<"END")
replicaof 127.0.0.1 @{[$first->port]}
repl-diskless-sync-delay 0
END
    } 1, 2);
    my $password = $arg{password} ? "requirepass $arg{password}\n" : '';
    my @sentinels = map {
        my $s = RateLimit::Redis->start(args => ['--sentinel'], conf => <<"END");
${password}sentinel monitor $name 127.0.0.1 @{[$first->port]} 2
sentinel down-after-milliseconds $name $down_after
sentinel failover-timeout $name 2000
END
        $s->raw('AUTH', $arg{password}) if $arg{password};
        $s;
    } 1 .. 3;
    my $self = bless { name => $name, servers => \@servers,
                       sentinels => \@sentinels }, $class;
    $self->wait_until(sub {
        my %info = @{ $_[0]->call('SENTINEL', 'MASTER', $name) };
        $info{'num-slaves'} == 2 && $info{'num-other-sentinels'} == 2
            && $info{flags} eq 'master';
    });
    for my $replica (@servers[1, 2]) {
        until ($replica->call('INFO', 'replication')
                   =~ /master_link_status:up/) {
            sleep 0.05;
        }
    }
    return $self;
}

sub sentinels { @{ $_[0]{sentinels} } }
sub servers   { @{ $_[0]{servers} } }

sub uri {
    my ($self) = @_;
    return 'redis+sentinel://'
        . join(',', map { '127.0.0.1:' . $_->port } $self->sentinels)
        . "/$self->{name}";
}

# Until all sentinels that run say so.
sub wait_until {
    my ($self, $code, $seconds) = @_;
    my $until = time() + ($seconds || 20);
    while (grep { $_->pid && !eval { $code->($_) } } $self->sentinels) {
        die "the sentinels did not agree\n", map { $_->log } $self->sentinels
            if time() > $until;
        sleep 0.05;
    }
    return;
}

# The port of the master, as one of them says.
sub port_by {
    my ($self, $sentinel) = @_;
    return $sentinel->call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME',
                           $self->{name})->[1];
}

sub master {
    my ($self) = @_;
    my ($one) = grep { $_->pid } $self->sentinels;
    my $port = $self->port_by($one);
    my ($master) = grep { $_->port == $port } $self->servers;
    return $master;
}

# By command, without anything being wrong.
sub failover {
    my ($self) = @_;
    my $old = $self->master;
    ($self->sentinels)[0]->call('SENTINEL', 'FAILOVER', $self->{name});
    return $self->wait_for_another($old);
}

sub wait_for_another {
    my ($self, $old) = @_;
    $self->wait_until(sub { $self->port_by($_[0]) != $old->port });
    return $self->master;
}

1;
