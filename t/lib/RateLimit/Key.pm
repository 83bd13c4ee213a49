# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What limiter-status?key=K says in its text form, in short.
#
#   use RateLimit::Key qw(counters notes asked);
#   counters($body)   # "2 per 1 minute gcra | Location /a of _main | 1, 30 s, room";
#                     # with "[default]" and the like behind what is no own
#                     # limit, and without the ports of servers
#   notes($body)      # sentences
#   asked($body)      # how many counters were looked at
package RateLimit::Key;
use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

our @EXPORT_OK = qw(counters notes asked);

sub counters {
    my ($body) = @_;
    my @counters;
    while ($body =~ /^\ \ (\S.*?),\ ([\w-]+)[^\n]*?\ \[(.*)\]\ \ \([^()\n]*\)
                     \n\s+at:\ (.*)\n\s+storage:.*\n(?:\s+counted\ as:.*\n)?
                     \s+remaining:\ (\d+),\ resets\ in\ (-?\d+)\ s,\ (.*)\n/gmx) {
        my ($limit, $source, $at, $left, $room) = ("$1 $2", $3, $4, "$5, $6 s",
                                                   $7);
        $limit .= " [$source]" if $source ne 'own';
        $at =~ s/:\d+$//;
        $room =~ s/^has room(?: (in .*))?$/$1 || 'room'/e;
        push @counters, "$limit | $at | $left, $room";
    }
    my ($n) = $body =~ /^  (\d+) of the \d+ counters/m;
    die "not understood:\n$body" if !defined $n || $n != @counters;
    return @counters;
}

sub notes {
    my ($body) = @_;
    return $body =~ /^  note: (.*)$/mg;
}

sub asked {
    my ($body) = @_;
    return $body =~ /^  \d+ of the (\d+) counters/m ? $1 : die $body;
}

1;
