# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# limiter-status as JSON.
#
#   use RateLimit::Json qw(status fits limits_of sections_of);
#   my $json = status($h->client, '?path=/a');  # asked for, and decoded
#   ok(fits(), 'all that was asked for so far fits docs/status.schema.json');
#   limits_of($section->{effective});   # "10 per 1 hour [own]", ...
#   my %by_name = sections_of($server); # whatever they are nested in
package RateLimit::Json;
use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More;
use RateLimit::Place qw(top public_tempdir);

our @EXPORT_OK = qw(status fits limits_of sections_of);

my ($dir, $n) = (undef, 0);

# @more: header fields
sub status {
    my ($client, $query, @more) = @_;
    $query = '?' if !defined $query;
    my $r = $client->get("/limiter-status$query&format=json", @more);
    $r->code == 200 or die "limiter-status$query: " . $r->code . ' ' . $r->body;
    $dir ||= public_tempdir('json');
    open my $fh, '>', sprintf('%s/%03d', $dir, ++$n) or die "$dir: $!";
    print $fh $r->body;
    close $fh or die "$dir: $!";
    return JSON::PP->new->utf8->decode($r->body);
}

# Debian's own python3 has Debian's packages.
sub fits {
    my ($python) = grep { -x } '/usr/bin/python3';
    my $tool = top() . '/t/lib/validate_json.py';
    my $schema = top() . '/docs/status.schema.json';
    my $said = $n ? qx('@{[$python // 'python3']}' '$tool' '$schema' '$dir'/* 2>&1)
                  : "nothing was asked for\n";
    my $status = $?;
    diag $said if $status || !$n;
    return $n && $status == 0;
}

sub limits_of {
    my ($limits) = @_;
    return map { "$_->{limit} [$_->{source}]" } @$limits;
}

sub sections_of {
    my ($place) = @_;
    return map { ("$_->{type} $_->{path}" => $_, sections_of($_)) }
           @{ $place->{sections} };
}

1;
