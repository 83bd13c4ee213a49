# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What the tests on the shared server (t/TEST) have in common: clients that
# nobody has used before, and files below the document root.
#
#   my $s = RateLimit::Suite->new('once');     # the vhost of t/conf/once.conf.in
#   my $c = $s->fresh;                         # a client with a new address
#   $c->get('/a')->header('X-RateLimit-Remaining');
package RateLimit::Suite;
use strict;
use warnings;

use Apache::Test ();
use File::Basename qw(dirname);
use File::Path qw(make_path);
use RateLimit::Client ();

# The children of the server read what the tests write.
umask 022;

# The virtual host called $name, with a directory of that name below the
# document root.
sub new {
    my ($class, $name) = @_;
    my $vhost = Apache::Test::config()->{vhosts}{$name}
        or die "no <VirtualHost $name> in t/conf\n";
    # A second run on the same server must not meet the counters of the first.
    my $net = join '.', 10, map { int rand 256 } 1 .. 2;
    return bless { name => $name, port => $vhost->{port}, net => $net,
                   last => 0 }, $class;
}

sub port { $_[0]{port} }
sub net  { $_[0]{net} }
sub vars { Apache::Test::vars() }

# An address that no client of this run has had.
sub address { my ($self) = @_; return "$self->{net}." . ++$self->{last} }

# A client with an address of its own, on a connection of its own.
sub fresh {
    my ($self) = @_;
    return RateLimit::Suite::Client->new(port => $self->{port},
                                         address => $self->address);
}

# Writes a file below the virtual host's directory.
sub write {
    my ($self, $path, $content, $mode) = @_;
    my $file = vars()->{documentroot} . "/$self->{name}/$path";
    make_path(dirname($file));
    open my $fh, '>', $file or die "$file: $!";
    print $fh $content;
    close $fh or die "$file: $!";
    chmod $mode // 0644, $file;
    return $file;
}

# A CGI script in sh.
sub write_cgi {
    my ($self, $path, $content) = @_;
    return $self->write($path, "#!/bin/sh\n$content", 0755);
}

# The error log from a mark on.
sub mark { -s vars()->{t_logs} . '/error_log' || 0 }
sub error_log {
    my ($self, $mark) = @_;
    open my $fh, '<', vars()->{t_logs} . '/error_log' or die "error_log: $!";
    seek $fh, $mark // 0, 0;
    local $/;
    return readline($fh) // '';
}

package RateLimit::Suite::Client;
our @ISA = 'RateLimit::Client';

# Every request says whose it is, by the field that mod_remoteip reads.
sub request_bytes {
    my ($self, $method, $path, $headers, $body) = @_;
    my %h = ('X-Forwarded-For' => $self->{address}, %{ $headers || {} });
    return $self->SUPER::request_bytes($method, $path, \%h, $body);
}

sub address { $_[0]{address} }

# How many came through and how many did not: "3x200 2x429".
sub codes {
    my ($self, $n, $path, %headers) = @_;
    my @runs;
    for (1 .. $n) {
        my $code = $self->get($path, %headers)->code;
        @runs && $runs[-1][1] == $code ? $runs[-1][0]++
                                       : push @runs, [1, $code];
    }
    return join ' ', map { "$_->[0]x$_->[1]" } @runs;
}

1;
