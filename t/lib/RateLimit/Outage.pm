# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Clients that ask for pages while something behind httpd fails: what they got,
# and how long it took them. A machine on which nothing runs for half a second,
# because it has other things to do, is seen and not held against httpd.
#
#   my $load = outage($h, seconds => 2, path => '/busy');
#   ...break it, mend it...
#   my $met = $load->();
#   $met->is_served('SIGKILL');            # every answer was 200
#   $met->waits($budget_ms, 'SIGKILL');    # and nobody waited for much longer
#   holds(sub { codes(new_client(), 6) }, '200 200 200 200 200 429', 'it holds');
package RateLimit::Outage;
use strict;
use warnings;

use IO::Select ();
use List::Util qw(max min sum0);
use Test::More ();
use Time::HiRes qw(sleep time);
use RateLimit::Client ();
use RateLimit::Load qw(crew);
use Exporter 'import';
our @EXPORT = qw(outage holds);

# Above this a pause of the machine is looked at.
my $pause_ms = 20;

# What a machine adds to a wait though it does not stand still.
my $slack_ms = 200;

# Starts clients of one server or of several ([$a, $b], by turns). Returns what
# waits for them and returns an object.
#   seconds  for how long they ask
#   path     for what
#   clients  how many (3)
#   headers  called with the numbers of the client and of the request
#   between  seconds that each waits after an answer (0)
sub outage {
    my ($servers, %arg) = @_;
    my @servers = ref $servers eq 'ARRAY' ? @$servers : $servers;
    my $until = time() + $arg{seconds};
    pipe my $over, my $open or die "pipe: $!";
    my $since = time();
    my $watchers = crew(map { sub { close $open; _watch($since, $over) } } 1, 2);
    my $clients = crew(map {
        my $n = $_;
        sub { _client($servers[$n % @servers], $n, $until, \%arg) }
    } 0 .. ($arg{clients} || 3) - 1);
    return sub {
        my @results = $clients->();
        close $open;
        return _sum([_union(map { @$_ } $watchers->())], @results);
    };
}

# One client: [{ status => how many }, [when, how many ms], ...].
sub _client {
    my ($server, $n, $until, $arg) = @_;
    my $client = RateLimit::Client->new(port => $server->port);
    my (%codes, @times);
    while (time() < $until) {
        my %headers = $arg->{headers} ? $arg->{headers}->($n, scalar @times) : ();
        my $start = time();
        $codes{ $client->get($arg->{path}, %headers)->code }++;
        push @times, [$start, 1000 * (time() - $start)];
        sleep $arg->{between} if $arg->{between};
    }
    return [\%codes, @times];
}

# Looks at the clock all the time from then on until the pipe is closed: when it
# jumps, nobody had the processor.
sub _watch {
    my ($last, $over) = @_;
    my $select = IO::Select->new($over);
    my @pauses;
    until ($select->can_read(0.002)) {
        my $now = time();
        push @pauses, [$last, $now] if $now - $last > $pause_ms / 1000;
        $last = $now;
    }
    return \@pauses;
}

# Intervals that may overlap, as some that do not.
sub _union {
    my @united;
    for my $one (sort { $a->[0] <=> $b->[0] } @_) {
        if (@united && $one->[0] <= $united[-1][1]) {
            $united[-1][1] = max($united[-1][1], $one->[1]);
        }
        else {
            push @united, [@$one];
        }
    }
    return @united;
}

# How much of an interval were pauses, in ms.
sub _paused_ms {
    my ($pauses, $start, $ms) = @_;
    my $end = $start + $ms / 1000;
    return 1000 * sum0(map { max(0, min($end, $_->[1]) - max($start, $_->[0])) } @$pauses);
}

sub _sum {
    my ($pauses, @results) = @_;
    my (%codes, @ms);
    for my $result (@results) {
        my ($count, @times) = @$result;
        $codes{$_} += $count->{$_} for keys %$count;
        push @ms, map {
            $_->[1] - ($_->[1] > $pause_ms ? _paused_ms($pauses, @$_) : 0)
        } @times;
    }
    return bless { codes => \%codes, ms => [sort { $a <=> $b } @ms] }, __PACKAGE__;
}

# Every answer was one of these (200).
sub is_served {
    my ($self, $what, @codes) = @_;
    my %good = map { $_ => 1 } @codes ? @codes : 200;
    return Test::More::is_deeply([grep { !$good{$_} } sort keys %{ $self->{codes} }], [],
                                 "$what: every request is served");
}

# What a call of the storage may take is what a request may take.
sub waits {
    my ($self, $budget_ms, $what) = @_;
    Test::More::cmp_ok($self->at(0.99), '<', $budget_ms + 10, "$what: the 99th percentile in ms");
    Test::More::cmp_ok($self->at(1), '<', $budget_ms + $slack_ms, "$what: and the longest");
    Test::More::note("$what: ", $self->text);
    return;
}

# A part of all requests took this many ms or less.
sub at { my ($self, $share) = @_; return $self->{ms}[$share * $#{ $self->{ms} }] }

sub text {
    my ($self) = @_;
    return sprintf '%d requests, median %.2f ms, 99th percentile %.2f ms, longest %.2f ms',
        scalar @{ $self->{ms} }, map { $self->at($_) } 0.5, 0.99, 1;
}

# The code asks as a client that is new and returns what he got. Who asks while
# a storage goes or comes may be counted in two places; the next one is not.
sub holds {
    my ($code, $wanted, $what) = @_;
    my $got;
    for (1 .. 3) {
        $got = $code->();
        last if $got eq $wanted;
        sleep 0.1;
    }
    return Test::More::is($got, $wanted, $what);
}

1;
