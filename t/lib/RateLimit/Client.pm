# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A small HTTP/1.1 client over raw sockets: what a test sends is what it says,
# nothing is followed, retried with other headers or hidden.
#
#   my $c = RateLimit::Client->new(port => $port);
#   my $r = $c->get('/path', 'X-Key' => 'a');     # keepalive
#   $r->code; $r->reason; $r->header('Retry-After'); $r->all('Set-Cookie'); $r->body;
#   my $n = $c->parallel(8, 800, '/path', { 'X-Key' => 'a' });
#   $n->{200}; $n->{429}; $n->{error};
package RateLimit::Client;
use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use Time::HiRes qw(sleep time);

# port; host (127.0.0.1, where to connect); name (localhost, the Host header);
# timeout in seconds for each wait (20).
sub new {
    my ($class, %arg) = @_;
    return bless { host => '127.0.0.1', name => 'localhost', timeout => 20,
                   %arg }, $class;
}

sub get  { my ($self, $path, %headers) = @_;
           return $self->request('GET', $path, \%headers) }
sub head { my ($self, $path, %headers) = @_;
           return $self->request('HEAD', $path, \%headers) }
sub post { my ($self, $path, $body, %headers) = @_;
           return $self->request('POST', $path, \%headers, $body) }

# Sends one request on the kept connection and returns the response, dies if
# there is none. An URL in place of a path names another port.
sub request {
    my ($self, $method, $path, $headers, $body) = @_;
    if ($path =~ s{^http://([^/:]+)(?::(\d+))?(?=/|$)}{}) {
        my $port = $2 // 80;
        $self = ref($self)->new(%$self, port => $port, socket => undef)
            if $port != $self->{port};
        $path = '/' if $path eq '';
    }
    my $bytes = $self->request_bytes($method, $path, $headers, $body);
    my $reused = $self->{socket};
    my $r = $self->_exchange($bytes, $method);
    # The server may have closed a kept connection before it read anything.
    $r = $self->_exchange($bytes, $method) if !$r && $reused;
    return $r || die "$method $path on port $self->{port}: no response\n";
}

# Sends bytes as they are on a new connection and returns the first response.
sub raw {
    my ($self, $bytes, $method) = @_;
    $self->close;
    my $r = $self->_exchange($bytes, $method // 'GET');
    $self->close;
    return $r;
}

sub close { delete $_[0]{socket} }

sub request_bytes {
    my ($self, $method, $path, $headers, $body) = @_;
    my %h = %{ $headers || {} };
    my %given = map { lc() => 1 } keys %h;
    $h{Host} = $self->{name} if !$given{host};
    if (defined $body) {
        $h{'Content-Length'} = length $body if !$given{'content-length'};
        $h{'Content-Type'} = 'application/x-www-form-urlencoded'
            if !$given{'content-type'};
    }
    my $text = "$method $path HTTP/1.1\r\n";
    for my $name (sort keys %h) {
        $text .= "$name: $_\r\n"
            for ref $h{$name} ? @{ $h{$name} } : $h{$name};
    }
    return "$text\r\n" . ($body // '');
}

sub _connect {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => $self->{host},
                                 PeerPort => $self->{port},
                                 Timeout => $self->{timeout});
}

sub _send {
    my ($socket, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;
    while ($sent < length $bytes) {
        my $n = syswrite $socket, $bytes, length($bytes) - $sent, $sent;
        return 0 if !defined $n;
        $sent += $n;
    }
    return 1;
}

# One request and its response, or nothing if the connection was closed first.
sub _exchange {
    my ($self, $bytes, $method) = @_;
    my $socket = $self->{socket} ||= $self->_connect
        || die "connect to port $self->{port}: $!\n";
    _send($socket, $bytes);
    my $select = IO::Select->new($socket);
    my ($buffer, $eof, $r) = ('', 0);
    until ($r = _parse(\$buffer, $method, $eof) or $eof) {
        $select->can_read($self->{timeout})
            or $self->close, die "no answer within $self->{timeout} s\n";
        $eof = !sysread $socket, $buffer, 65536, length $buffer;
    }
    $self->close if $eof || ($r && $r->closes);
    return $r;
}

# Takes one whole response off the buffer, or returns nothing.
sub _parse {
    my ($buffer, $method, $eof) = @_;
    $$buffer =~ s/^HTTP\/1\.\d 1\d\d .*?\r\n\r\n//s;
    my $end = index $$buffer, "\r\n\r\n";
    return if $end < 0;
    my $r = RateLimit::Client::Response->new(substr $$buffer, 0, $end);
    my ($body, $after) = _body($r, $buffer, $end + 4, $method, $eof);
    return if !defined $body;
    substr $$buffer, 0, $after, '';
    $r->{body} = $body;
    return $r;
}

sub _body {
    my ($r, $buffer, $at, $method, $eof) = @_;
    return ('', $at) if $method eq 'HEAD' || $r->code =~ /^(?:204|304)$/;
    if (lc($r->header('Transfer-Encoding') // '') eq 'chunked') {
        return _chunks($buffer, $at);
    }
    my $length = $r->header('Content-Length');
    $length = length($$buffer) - $at if !defined $length && $eof;
    return if !defined $length || length($$buffer) < $at + $length;
    return (substr($$buffer, $at, $length), $at + $length);
}

sub _chunks {
    my ($buffer, $at) = @_;
    my $body = '';
    pos($$buffer) = $at;
    while ($$buffer =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/gc) {
        my $size = hex $1;
        my $here = pos $$buffer;
        if (!$size) {
            return $$buffer =~ /\G(?:[^\r\n]+\r\n)*\r\n/gc
                ? ($body, pos $$buffer) : ();
        }
        return if length($$buffer) < $here + $size + 2;
        $body .= substr $$buffer, $here, $size;
        pos($$buffer) = $here + $size + 2;
    }
    return;
}

# Sends $requests GETs over $conns kept connections, one outstanding on each,
# and returns how many of each status came back: { 200 => 150, 429 => 650 };
# `error` counts requests whose connection broke before the answer. They are
# not sent again: they may have been counted.
#
# $requests may be a code reference instead: sending goes on while it is true.
# $headers may be one, called with the number of the request from 0 on. With
# each => CODE, it is called with every response.
sub parallel {
    my ($self, $conns, $requests, $path, $headers, %opt) = @_;
    my %run = (
        path => $path, headers => $headers, count => {}, next => 0,
        more => ref $requests ? $requests : undef, left => $requests,
        each => $opt{each}, select => IO::Select->new, conn => {},
    );
    $self->_open(\%run) for 1 .. $conns;
    while ($run{select}->count) {
        my @ready = $run{select}->can_read($self->{timeout})
            or die "no answer within $self->{timeout} s\n";
        $self->_receive(\%run, $_) for @ready;
    }
    return $run{count};
}

# The bytes of the next request of a parallel run, or nothing when all is sent.
sub _next {
    my ($self, $run) = @_;
    return if $run->{more} ? !$run->{more}->() : $run->{left}-- <= 0;
    my $h = $run->{headers};
    return $self->request_bytes('GET', $run->{path},
        ref $h eq 'CODE' ? { $h->($run->{next}++) } : $h);
}

# A new connection with its first request, if there is anything to send.
sub _open {
    my ($self, $run) = @_;
    my $bytes = $self->_next($run) // return;
    my $until = time() + $self->{timeout};
    my $socket;
    until ($socket = $self->_connect) {
        die "connect to port $self->{port}: $!\n" if time() > $until;
        sleep 0.02;
    }
    _send($socket, $bytes);
    $run->{select}->add($socket);
    $run->{conn}{$socket} = '';
}

sub _receive {
    my ($self, $run, $socket) = @_;
    my $buffer = \$run->{conn}{$socket};
    my $eof = !sysread $socket, $$buffer, 65536, length $$buffer;
    my $r = _parse($buffer, 'GET', $eof);
    return if !$r && !$eof;
    $run->{count}{ $r ? $r->code : 'error' }++;
    $run->{each}->($r) if $r && $run->{each};
    if ($eof || $r->closes) {
        $run->{select}->remove($socket);
        delete $run->{conn}{$socket};
        CORE::close $socket;
        $self->_open($run);
        return;
    }
    my $bytes = $self->_next($run);
    if (defined $bytes) {
        _send($socket, $bytes);
        return;
    }
    $run->{select}->remove($socket);
    delete $run->{conn}{$socket};
}

package RateLimit::Client::Response;

sub new {
    my ($class, $head) = @_;
    my ($line, @lines) = split /\r\n/, $head;
    my ($code, $reason) = $line =~ m{^HTTP/1\.\d (\d{3}) ?(.*)$};
    my %all;
    for (@lines) {
        push @{ $all{ lc $1 } }, $2 if /^([^:]+):[ \t]*(.*?)[ \t]*$/;
    }
    return bless { code => $code // 0, reason => $reason // '',
                   head => $head, all => \%all, body => '' }, $class;
}

sub code   { $_[0]{code} }
sub reason { $_[0]{reason} }
sub body   { $_[0]{body} }
sub content { $_[0]{body} }
# Status line and header fields as they came.
sub head_text { $_[0]{head} }
# The first field of that name, or undef; all of them.
sub header { my ($self, $name) = @_; return $self->{all}{ lc $name }[0] }
sub all    { my ($self, $name) = @_; return @{ $self->{all}{ lc $name } || [] } }
sub closes { lc($_[0]->header('Connection') // '') eq 'close'
             || $_[0]{head} =~ m{^HTTP/1\.0} }

1;
