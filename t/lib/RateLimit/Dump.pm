# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What httpd -t -D DUMP_RATELIMIT says of a configuration.
#
#   my $dump = dump_of($conf, 'macro');      # with more modules
#   part($dump, 'Limits');
#   warns('what it is', $conf, [ 3 ], qr/the sentence/);   # at line 3
#   silent('what is right', $conf);
package RateLimit::Dump;
use strict;
use warnings;

use Test::More;
use RateLimit::Httpd ();
use RateLimit::Place ();
use Exporter 'import';
our @EXPORT = qw(dump_of part warns silent);

my @modules = qw(authz_host auth_basic authn_file authz_user cache dbd dir
                 log_config mime proxy proxy_http remoteip rewrite);

# What is dumped of a configuration. It is in a file of its own, whose lines are
# what "line 1" means.
my $dir = RateLimit::Place::public_tempdir('dump');
sub dump_of {
    my ($conf, @more) = @_;
    open my $fh, '>', "$dir/conf" or die "$dir/conf: $!";
    print $fh $conf;
    close $fh or die "$dir/conf: $!";
    my ($exit, $output) = RateLimit::Httpd->config_test(
        qq(Include "$dir/conf"\n), { modules => [ @modules, @more ] },
        'DUMP_RATELIMIT');
    is($exit, 0, 'the configuration is good') or diag $output;
    return $output =~ s{\Q$dir\E/conf:(\d+)}{line $1}gr =~ s/^Syntax OK\n//mr;
}

# One part of a dump, "Limits" say.
sub part {
    my ($dump, $name) = @_;
    my ($part) = $dump =~ /^$name\n(.*?)(?:^$|\z)/ms;
    return $part // '';
}

sub warnings_of {
    my ($conf) = @_;
    my $warnings = part(dump_of($conf), 'Warnings');
    return [ $warnings =~ /^  at: (.*)\n    what: .*\n    mend: .+\n/mg ], $warnings;
}
sub warns {
    my ($what, $conf, $lines, @like) = @_;
    my ($found, $text) = warnings_of($conf);
    is_deeply($found, [ map { "line $_" } @$lines ], $what) or diag $text;
    like($text, $_, "$what: the sentence") for @like;
    return;
}
sub silent { my ($what, $conf) = @_; return warns("$what: silent", $conf, []) }

1;
