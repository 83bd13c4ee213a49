# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Load from several processes: clients that share nothing, so that what they
# find together was decided together by the server.
#
#   my @results = at_once(sub { ... return $any }, sub { ... });
#   my $crew = crew(sub { ... });  ...meanwhile...  my @results = $crew->();
#   my $n = total(@counts);            # { 200 => 150, 429 => 650 }
#   my $n = pipelined($port, $path, 1000, sub { ('X-Key' => $_[0]) });
package RateLimit::Load;
use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use POSIX ();
use Storable ();
use Exporter 'import';
our @EXPORT = qw(at_once crew total pipelined);

# Runs each piece of code in a process of its own; returns, when all are done,
# what each returned (one scalar). Dies if one of them died.
sub at_once { crew(@_)->() }

# The same in two steps: starts them, and returns what waits for the results.
sub crew {
    my @jobs = map { _fork($_) } @_;
    my $owner = $$;
    return sub {
        die 'the results were asked for in another process' if $$ != $owner;
        my @results = map { _result(@$_) } @jobs;
        my @died = grep { ref eq 'RateLimit::Load::Died' } @results;
        die ${ $died[0] } if @died;
        return map { $$_ } @results;
    };
}

sub _fork {
    my ($code) = @_;
    pipe my $reader, my $writer or die "pipe: $!";
    defined(my $pid = fork) or die "fork: $!";
    return [$pid, $reader] if $pid;
    # The server belongs to the test, and so do its END blocks.
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    close $reader;
    my $result;
    my $frozen = eval { $result = $code->(); Storable::freeze(\$result) }
        // Storable::freeze(bless \(my $why = "$@"), 'RateLimit::Load::Died');
    print $writer $frozen;
    close $writer;
    POSIX::_exit(0);
}

sub _result {
    my ($pid, $reader) = @_;
    local $/;
    my $frozen = readline $reader;
    close $reader;
    waitpid $pid, 0;
    return length $frozen ? Storable::thaw($frozen)
        : bless \(my $why = "client $pid ended with status $?\n"),
          'RateLimit::Load::Died';
}

# The sum of several counts of statuses.
sub total {
    my %sum;
    for my $count (@_) {
        $sum{$_} += $count->{$_} for keys %$count;
    }
    return \%sum;
}

# Sends $n GETs over one connection, up to 100 of them before their answers
# are read: as fast as a script can. $headers is called with the number of the
# request. Returns the count of each status.
sub pipelined {
    my ($port, $path, $n, $headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $port, Timeout => 20)
        or die "connect to port $port: $!\n";
    my ($count, $sent) = ({}, 0);
    while ($sent < $n) {
        my $batch = $n - $sent < 100 ? $n - $sent : 100;
        print $socket join '', map {
            my %h = $headers->($_);
            join '', "GET $path HTTP/1.1\r\nHost: localhost\r\n",
                (map { "$_: $h{$_}\r\n" } keys %h), "\r\n";
        } $sent .. $sent + $batch - 1;
        $socket->flush;
        _read_answers($socket, $batch, $count);
        $sent += $batch;
    }
    return $count;
}

# Reads this many responses, each with a Content-Length.
sub _read_answers {
    my ($socket, $left, $count) = @_;
    my $select = IO::Select->new($socket);
    my $buffer = '';
    while ($left) {
        $select->can_read(20) or die "no answer within 20 s\n";
        sysread $socket, $buffer, 65536, length $buffer
            or die "the connection was closed, $left answers missing\n";
        while ((my $end = index $buffer, "\r\n\r\n") >= 0) {
            my ($code) = $buffer =~ m{^HTTP/1\.1 (\d{3})} or die $buffer;
            my ($length) = substr($buffer, 0, $end)
                =~ /^Content-Length: *(\d+)/mi
                or die "no Content-Length:\n" . substr $buffer, 0, $end;
            last if length $buffer < $end + 4 + $length;
            substr $buffer, 0, $end + 4 + $length, '';
            $count->{$code}++;
            $left--;
        }
    }
    return;
}

1;
