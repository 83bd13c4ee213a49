# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# What administrators copy must work: conf.d/*.conf, conf.d/recipes/*.conf and
# every ```apache example of the documentation go through httpd -t.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place qw(slurp);

# Modules that the examples speak to, where they are not compiled in.
my @modules = qw(authz_host dir log_config mime remoteip rewrite proxy
                 proxy_http auth_basic authn_file authz_user dbd);
# What may stand in a section alone: an example that shows nothing but such
# directives is a piece of one.
my $inner = qr/^\s*RateLimit(?:Shared|Exempt|Endpoint)?\s/;

my $top = RateLimit::Place::top();
chdir $top or die "$top: $!";

# An example as a configuration: without the lines that load modules, whose
# paths are those of another machine, as are those of maps; and a piece of a
# section within one.
sub whole {
    my ($text) = @_;
    $text =~ s/^\s*LoadModule\s.*\n?//mg;
    $text =~ s{^(\s*RewriteMap \w+ "?(?:txt|prg):)[^\s"]+}{$1/dev/null}mg;
    my $depth = 0;
    for (split /\n/, $text) {
        $depth-- if m{^\s*</};
        return "<Location \"/example\">\n$text</Location>\n"
            if !$depth && /$inner/;
        $depth++ if m{^\s*<(?!/)};
    }
    return $text;
}

sub passes {
    my ($text, $name) = @_;
    my ($exit, $output) = RateLimit::Httpd->config_test(
        whole($text), { modules => \@modules });
    return ok($exit == 0 && $output !~ /\[.*:(?:warn|error|crit|alert|emerg)\]/,
              $name) || diag "$output\nof\n$text";
}

# Files
my @files = (glob('conf.d/*.conf'), glob('conf.d/recipes/*.conf'));
cmp_ok(scalar @files, '>=', 10, 'there are examples');
passes(slurp($_), $_) for @files;

# The file of all directives says the defaults in comments: they must be good
# as well. A comment that is prose has a blank behind its #.
my $all = slurp('conf.d/ratelimit_ext.conf');
cmp_ok(scalar($all =~ s/^(\s*)#(?=[<A-Z])/$1/mg), '>', 10,
       'conf.d/ratelimit_ext.conf has directives in comments');
passes($all, 'conf.d/ratelimit_ext.conf, uncommented');

# Examples in the documentation. Each is named by the line that it begins on.
for my $file ('README.md', glob('*/README.md'), glob('docs/*.md')) {
    my ($line, $start, $text, $found) = (0, 0, '', 0);
    for (split /^/, slurp($file)) {
        $line++;
        if ($start && /^\s*```\s*$/) {
            passes($text, "$file:$start");
            $start = 0;
        }
        elsif ($start) {
            $text .= $_;
        }
        elsif (/^\s*```apache\s*$/) {
            ($start, $text, $found) = ($line, '', $found + 1);
        }
    }
    is($start, 0, "$file: every example ends");
    cmp_ok($found, '>', 0, "$file has examples")
        if $file =~ m{^(?:README|docs/directives)\.md$};
}

# The proof that a bad example would be found.
my ($exit) = RateLimit::Httpd->config_test(whole(qq(RateLimit "10 per moon"\n)));
isnt($exit, 0, 'a bad example is found');
done_testing;
