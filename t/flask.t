# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 17
#
# mpm: any
#
# The real Flask-Limiter beside this module: random applications, as a Flask
# app and as a configuration of httpd, are asked the same at the same times.
# t/flask/describe.py makes them up; t/flask/differences.py names each point
# where DESIGN.md differs from Flask-Limiter on purpose. Where nothing of it is
# met, Flask-Limiter without any change has to answer the same, too.
#
#   RLX_SEED=n prove t/flask.t           the same applications again
#   RLX_FLASK=20000 prove t/flask.t      as many of them
#   build/flask-venv/bin/python t/flask/compare.py N 30      shows one
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place qw(slurp top public_tempdir);

my $seed = $ENV{RLX_SEED} // int rand 2**31;
my $ALL = $ENV{RLX_FLASK} // 100;
my $AT_ONCE = 400;              # virtual hosts in one server
my $REQUESTS = 30;              # of each application

# Sets of strings have an order in Flask-Limiter; this is a fixed one.
$ENV{PYTHONHASHSEED} = 0;
my $python = top() . '/build/flask-venv/bin/python';
my $dir = public_tempdir('flask');
system(top() . '/build-aux/flask-venv.sh') == 0
    or die "no Flask-Limiter to compare with\n";
my ($asked, $refused, %unchanged, %met) = (0, 0);

# The directives for some applications, and what is asked and answered.
sub made {
    my ($from, $n) = @_;
    system($python, top() . '/t/flask/compare.py', "$dir/conf",
           "$dir/answers", $from, $n, $REQUESTS) == 0
        or die "t/flask/compare.py failed\n";
    return map { slurp("$dir/$_") } qw(conf answers);
}

# What a response says, as compare.py writes it: without a reset where that
# leaves it out.
sub said {
    my ($r, $want) = @_;
    my @said = map { $r->header($_) // '' }
        qw(X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset X-Spoken);
    $said[2] = '' if $want =~ /,,[^,]*$/;
    return join ',', $r->code, @said;
}

# One request on both sides; false if they do not agree.
sub agrees {
    my ($h, $c, $app, $row) = @_;
    my ($time, $method, $path, $fields, $want, $unchanged) = @$row;
    my %fields = map { split /=/, $_, 2 } split /&/, $fields;
    $h->set_time($time / 64);
    my $r = $c->request($method, $path, { Host => $app->{name}, %fields });
    my $got = said($r, $want);
    $asked++;
    $refused++ if $r->code == 429;
    my $where = "application $app->{seed}, $method $path at $time with $fields";
    if ($got ne $want) {
        return fail("$where: the same answer")
            || diag("httpd $got, Flask-Limiter $want, met: $app->{met}") && 0;
    }
    if ($unchanged{ $app->{seed} } && $want ne $unchanged) {
        $unchanged{ $app->{seed} } = 0;
        length $app->{met}
            or fail("$where: $unchanged without any change, and nothing says why");
    }
    return 1;
}

sub compare {
    my ($from, $n) = @_;
    my ($conf, $answers) = made($from, $n);
    my $h = RateLimit::Httpd->start(
        conf => "KeepAliveTimeout 2147483\n"
              . qq(AliasMatch "/ok\\.txt\$" "\@DOCROOT\@/index.html"\n$conf),
        faketime => 1, children => 1);
    my $c = $h->client;
    my ($app, $good);
    for (split /\n/, $answers) {
        my ($what, @row) = split /\t/, $_, -1;
        if ($what eq 'D') {
            $app = { name => $row[0], seed => $row[1], met => $row[2] };
            $met{$_}++ for split /,/, $row[2];
            $unchanged{ $row[1] } = $good = 1;
        }
        elsif ($good) {
            $good = agrees($h, $c, $app, \@row);
        }
    }
    $h->stop;
}

for (my $at = 0; $at < $ALL; $at += $AT_ONCE) {
    compare($seed + $at, $ALL - $at < $AT_ONCE ? $ALL - $at : $AT_ONCE);
}
my $same = grep { $_ } values %unchanged;
note("differences met in: ", join ', ', map { "$_ $met{$_}" } sort keys %met);
cmp_ok($asked, '>', $ALL * $REQUESTS * 0.9, "$asked requests to $ALL applications, seed $seed");
cmp_ok($refused, '>', $asked / 10, "$refused are refused");
cmp_ok($same, '>', $ALL / 20, "$same applications see no difference at all");
done_testing;
