# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private Redis Cluster for one test: masters alone, or with a replica each.
#
#   my $cluster = RateLimit::Redis::Cluster->start;            # three masters
#   my $cluster = RateLimit::Redis::Cluster->start(replicas => 1);
#   $cluster->uri;                       # for RateLimitStorage
#   $cluster->node(0)->kill;  $cluster->node(0)->launch;
#   $cluster->slot('rlx::{192.0.2.1}:x');  $cluster->owner($slot);
#   $cluster->begin_move($slot, $to);  $cluster->end_move($slot, $to);
package RateLimit::Redis::Cluster;
use strict;
use warnings;

use Time::HiRes qw(sleep time);
use RateLimit::Redis ();

my $masters = 3;
my @ranges = ([0, 5460], [5461, 10922], [10923, 16383]);

# replicas  0 or 1 for each master;  timeout  of a node, in ms (1000)
sub start {
    my ($class, %arg) = @_;
    my $timeout = $arg{timeout} || 1000;
    my @nodes = map {
        RateLimit::Redis->start(bus => 1, conf => <<"END")
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout $timeout
cluster-replica-validity-factor 0
repl-diskless-sync-delay 0
END
    } 1 .. $masters * (1 + ($arg{replicas} || 0));
    my $self = bless { nodes => \@nodes }, $class;
    for my $i (0 .. $#nodes) {
        $nodes[$i]->call('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
        $nodes[$i]->call('CLUSTER', 'ADDSLOTSRANGE', @{ $ranges[$i] })
            if $i < $masters;
        $nodes[0]->call('CLUSTER', 'MEET', '127.0.0.1', $nodes[$i]->port)
            if $i;
    }
    $self->wait_until(sub { $_[0]->call('CLUSTER', 'INFO')
        =~ /cluster_state:ok.*cluster_known_nodes:@{[scalar @nodes]}\b/s });
    for my $i ($masters .. $#nodes) {
        $nodes[$i]->call('CLUSTER', 'REPLICATE',
                         $nodes[$i - $masters]->call('CLUSTER', 'MYID'));
    }
    $self->wait_until(sub {
        my $slots = $_[0]->call('CLUSTER', 'SLOTS');
        @$slots == $masters && !grep { @$_ < 3 + ($arg{replicas} || 0) } @$slots;
    });
    return $self;
}

sub nodes { @{ $_[0]{nodes} } }
sub node  { $_[0]{nodes}[$_[1]] }

# By two of them: the others are found.
sub uri {
    my ($self) = @_;
    return 'redis+cluster://' . join ',',
        map { '127.0.0.1:' . $_->port } @{ $self->{nodes} }[0, 1];
}

# Until all that run say so.
sub wait_until {
    my ($self, $code, $seconds) = @_;
    my $until = time() + ($seconds || 20);
    while (grep { $_->pid && !eval { $code->($_) } } $self->nodes) {
        die "the cluster did not get ready\n", map { $_->log } $self->nodes
            if time() > $until;
        sleep 0.05;
    }
    return;
}

sub is_ok { return $_[1]->call('CLUSTER', 'INFO') =~ /cluster_state:ok/ }

sub slot { return $_[0]->node(0)->call('CLUSTER', 'KEYSLOT', $_[1]) }

# Which of the masters has a slot, from the beginning on.
sub owner {
    my ($self, $slot) = @_;
    my ($i) = grep { $slot <= $ranges[$_][1] } 0 .. $#ranges;
    return $self->node($i);
}

# A slot is about to move: who asks for keys that are not there is sent to the
# new owner.
sub begin_move {
    my ($self, $slot, $from, $to) = @_;
    $to->call('CLUSTER', 'SETSLOT', $slot, 'IMPORTING',
              $from->call('CLUSTER', 'MYID'));
    $from->call('CLUSTER', 'SETSLOT', $slot, 'MIGRATING',
                $to->call('CLUSTER', 'MYID'));
    return;
}

# Moves some of its keys (all of them).
sub move_keys {
    my ($self, $slot, $from, $to, $some) = @_;
    my $keys = $from->call('CLUSTER', 'GETKEYSINSLOT', $slot, $some || 10_000);
    $from->call('MIGRATE', '127.0.0.1', $to->port, '', 0, 5000, 'KEYS', @$keys)
        if @$keys;
    return scalar @$keys;
}

sub end_move {
    my ($self, $slot, $from, $to) = @_;
    1 while $self->move_keys($slot, $from, $to);
    my $id = $to->call('CLUSTER', 'MYID');
    $_->call('CLUSTER', 'SETSLOT', $slot, 'NODE', $id)
        for $to, grep { $_ != $to } @{ $self->{nodes} }[0 .. $masters - 1];
    return;
}

1;
