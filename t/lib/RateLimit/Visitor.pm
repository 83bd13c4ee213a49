# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Somebody who visits a private server, and is somebody else, with an address
# that nobody has had, whenever the test says so.
#
#   use RateLimit::Visitor qw(visit fresh get codes field);
#   visit($h);                      # a RateLimit::Httpd; every request goes there
#   fresh;                          # a new visitor
#   get('/a', 'X-Key' => 'a')->code;
#   codes(3, '/a');                 # "200 200 429"
#   field('Limit', '/a');           # X-RateLimit-Limit of one more request
package RateLimit::Visitor;
use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(visit fresh get post codes field);

my ($client, $last, $address) = (undef, 0, undef);

sub visit {
    my ($httpd) = @_;
    $client = $httpd->client;
    return fresh();
}

sub fresh {
    $last++;
    $address = join '.', 198, 18, $last >> 8, $last & 255;
    return;
}

sub get {
    my ($path, %headers) = @_;
    return $client->get($path, 'X-Forwarded-For' => $address, %headers);
}

sub post {
    my ($path, %headers) = @_;
    return $client->post($path, '', 'X-Forwarded-For' => $address, %headers);
}

sub codes {
    my ($n, $path, %headers) = @_;
    return join ' ', map { get($path, %headers)->code } 1 .. $n;
}

sub field {
    my ($name, $path, %headers) = @_;
    return get($path, %headers)->header("X-RateLimit-$name");
}

1;
