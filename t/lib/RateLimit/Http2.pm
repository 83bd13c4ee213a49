# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# As much HTTP/2 (RFC 9113, over TCP with prior knowledge) as it takes to send
# many requests at once on one connection and to see the statuses.
#
#   my @codes = RateLimit::Http2::streams($port, 10, '/path', 'x-key' => 'a');
package RateLimit::Http2;
use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();

use constant { DATA => 0, HEADERS => 1, SETTINGS => 4, GOAWAY => 7 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

# The statuses of n GETs, in the order of the requests; 0 where none came.
sub streams {
    my ($port, $n, $path, @fields) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $port)
        or die "connect to port $port: $!\n";
    my $block = join '', map { _literal(@$_) }
        [':method', 'GET'], [':scheme', 'http'], [':path', $path],
        [':authority', 'localhost'],
        map { [ @fields[2 * $_, 2 * $_ + 1] ] } 0 .. @fields / 2 - 1;
    # A table of size 0 keeps the answers free of references to earlier ones.
    my $bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
              . _frame(SETTINGS, 0, 0, pack 'nN', 1, 0);
    $bytes .= _frame(HEADERS, END_STREAM | END_HEADERS, 2 * $_ - 1, $block)
        for 1 .. $n;
    print $socket $bytes;
    $socket->flush;
    my $status = _receive($socket, $n);
    return map { $status->{ 2 * $_ - 1 } // 0 } 1 .. $n;
}

sub _frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
         . pack('CCN', $type, $flags, $stream) . $payload;
}

# A field as it is: no index, no Huffman code (RFC 7541, section 6.2.2).
sub _literal { return join '', "\0", map { _length(length) . $_ } @_ }

# An integer with a prefix of seven bits (RFC 7541, section 5.1).
sub _length {
    my ($n) = @_;
    return chr $n if $n < 127;
    my $bytes = chr 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $bytes .= chr(128 | $n & 127);
    }
    return $bytes . chr $n;
}

# Reads until every stream has ended. Returns { stream => status }.
sub _receive {
    my ($socket, $n) = @_;
    my ($buffer, $ended, %status) = ('', 0);
    my $select = IO::Select->new($socket);
    while ($ended < $n) {
        $select->can_read(20) or die "HTTP/2: no answer within 20 s\n";
        sysread $socket, $buffer, 65536, length $buffer or last;
        while (length $buffer >= 9) {
            my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $buffer;
            my $length = $high << 16 | $low;
            last if length $buffer < 9 + $length;
            my $payload = substr $buffer, 9, $length;
            substr $buffer, 0, 9 + $length, '';
            if ($type == SETTINGS && !($flags & ACK)) {
                syswrite $socket, _frame(SETTINGS, ACK, 0, '');
            }
            elsif ($type == HEADERS) {
                $status{$stream} //= _status($payload);
            }
            elsif ($type == GOAWAY) {
                return \%status;
            }
            $ended++ if $type <= HEADERS && $flags & END_STREAM;
        }
    }
    return \%status;
}

# :status is the first field of a response: an entry of the static table, or
# its name from there and three digits.
sub _status {
    my ($block) = @_;
    my @static = (200, 204, 206, 304, 400, 404, 500);
    $block =~ s/^[\x20-\x3f]//;     # the size of the table
    return $static[ ord($1) - 0x88 ] if $block =~ /^([\x88-\x8e])/;
    return $1 if $block =~ /^[\x08-\x0e\x18-\x1e\x48-\x4e]\x03(\d{3})/;
    return 0;
}

1;
