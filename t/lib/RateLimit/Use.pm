# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Speaks with the handler of t/modules/mod_ratelimit_use.c, and reads what it
# says and logs.
#
#   my $h = use_server(RateLimit::Httpd->start(modules => ['ratelimit_use'], ...));
#   at(60);                          # so many seconds after the beginning
#   my $o = use_it('/u', 'limits=2/minute&scope=a&key=k');
#   left($o);                        # 'allowed 1'
#   $o->{list}[0]{remaining};        # the first limit; $response is the response
#   breaches();                      # what was said of them since it was asked
package RateLimit::Use;
use strict;
use warnings;

use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep);
use Exporter 'import';
our @EXPORT = qw(use_server use_client use_zero at use_at use_it left lefts
                 mark breaches log_lines logged $response);
our $response;

my ($h, $zero, @client, $mark);

# The server that all others speak of.
sub use_server {
    ($h) = @_;
    $zero = $h->now;
    $mark = 0;
    @client = map { $h->client($_) } 1 .. @{ $h->{port} };
    my $strong = $h;
    weaken($h);
    return $strong;
}

# The client of a port, counted from 1; the time when the server started.
sub use_client { $client[ $_[0] - 1 ] }
sub use_zero { $zero }
sub at { $h->set_time($zero + $_[0]) }

# Asks the handler: port, path, query. Returns what it says as a list of hashes,
# an outcome each; its limits are hashes too.
sub use_at {
    my ($n, $path, $query, @headers) = @_;
    $query =~ s/ /+/g;
    $response = use_client($n)->get("$path?$query", @headers);
    my @outcomes;
    for (split /\n/, $response->body) {
        if (/^(back \S+|request|\S+) (\S+) (allowed=.*)$/) {
            push @outcomes, { rc => $1, result => $2, _fields($3), list => [] };
        }
        elsif (/^  (".*)$/) {
            push @{ $outcomes[-1]{list} }, { _fields("limit=$1") };
        }
    }
    return @outcomes;
}

# The first outcome, at the first port.
sub use_it { return (use_at(1, @_))[0] || { result => 'none shown' } }

# An outcome in short: its result, and what the first limit or all have left.
sub left { my ($o) = @_; return "$o->{result} " . ($o->{list}[0]{remaining} // '-') }
sub lefts {
    my ($o) = @_;
    return join ' ', $o->{result}, map { $_->{remaining} } @{ $o->{list} };
}

# What is logged from now on is what breaches and log_lines look at.
sub mark { $mark = $h->mark }
sub breaches {
    my @lines = map { /use: breach (.*)/ ? $1 : () } log_lines('use: breach');
    mark();
    return @lines;
}
sub log_lines {
    my ($pattern) = @_;
    return grep { /$pattern/ } split /\n/, $h->error_log($mark);
}

# The lines of the whole log that match, once there are so many: a request is
# logged after its client has the response.
sub logged {
    my ($pattern, $n) = @_;
    for (1 .. 500) {
        my @lines = grep { /$pattern/ } split /\n/, $h->error_log;
        return @lines if @lines >= $n;
        sleep 0.02;
    }
    return ('not logged');
}

sub _fields {
    my ($text) = @_;
    my %field;
    while ($text =~ /(\w+)=("(?:[^"]*)"|.*?)(?=$| \w+=)/g) {
        my ($name, $value) = ($1, $2);
        $field{$name} = $value =~ s/^"|"$//gr;
    }
    return %field;
}

1;
