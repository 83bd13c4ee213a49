# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# mpm: any
#
# The real Flask-Limiter beside this module: random applications, as a Flask
# app and as a configuration of httpd, are asked the same at the same times.
# t/flask/describe.py makes them up; t/flask/differences.py names each point
# where DESIGN.md differs from Flask-Limiter on purpose.
#
#   RLX_SEED=n prove t/flask.t           the same applications again
#   RLX_FLASK=20000 prove t/flask.t      as many of them
#   build/flask-venv/bin/python t/flask/compare.py SEED 30    shows one
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place qw(top public_tempdir);

my $seed = $ENV{RLX_SEED} // int rand 2**31;
my $ALL = $ENV{RLX_FLASK} // 240;
my $AT_ONCE = 400;              # virtual hosts in one server
my $REQUESTS = 30;              # of each application
my $python = top() . '/build/flask-venv/bin/python';
my $dir = public_tempdir('flask');
my (%met, $compared, $refused, %literal);

# The directives for some applications, and what is to be asked and answered.
sub made {
    my ($from, $n) = @_;
    system($python, top() . '/t/flask/compare.py', "$dir/conf",
           "$dir/answers", $from, $n, $REQUESTS) == 0
        or die "t/flask/compare.py failed; build-aux/flask-venv.sh makes what it needs\n";
    return map { slurp("$dir/$_") } qw(conf answers);
}

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return readline $fh;
}

# What a response says, as compare.py writes it. Of sliding windows DESIGN has
# no sentence on the reset; nor is there one where nothing is charged.
sub said {
    my ($r, $want) = @_;
    my @said = map { $r->header("X-RateLimit-$_") // '' } qw(Limit Remaining Reset);
    my $status = $r->code == 429 ? 429 : 200;
    return join ',', $status, @said;
}

sub agree {
    my ($got, $want, $has_reset) = @_;
    my @got = split /,/, $got, -1;
    my @want = split /,/, $want, -1;
    $want[0] = 200 if $want[0] != 429;
    pop @got, pop @want if !$has_reset || $want[1] eq $want[2];
    return "@got" eq "@want";
}

sub run {
    my ($from, $n) = @_;
    my ($conf, $answers) = made($from, $n);
    my $h = RateLimit::Httpd->start(
        conf => "KeepAliveTimeout 2147483\nAliasMatch \"/ok\\.txt\$\" \"\@DOCROOT\@/index.html\"\n$conf",
        faketime => 1, children => 1);
    my $c = $h->client;
    my ($name, $number, $notes, $wrong);
    for (split /\n/, $answers) {
        my ($what, @rest) = split /\t/, $_, -1;
        if ($what eq 'D') {
            ($name, $number, $notes) = @rest;
            $met{$_}++ for split /,/, $notes;
            $wrong = 0;
            next;
        }
        next if $wrong;
        my ($time, $method, $path, $fields, $want, $unchanged) = @rest;
        $literal{$number} //= 1;
        $literal{$number} = 0 if $want ne $unchanged;
        $h->set_time($time / 64);
        my $r = $c->request($method, $path,
                            { Host => $name, map { split /=/, $_, 2 } split /&/, $fields });
        $compared++;
        $refused++ if $r->code == 429;
        my $got = said($r);
        next if agree($got, $want, $conf =~ /ServerName $name\n.*\nRateLimitStrategy (?!sliding)/);
        $wrong = 1;
        fail("application $number: $method $path at $time with $fields");
        diag("httpd $got, Flask-Limiter $want; differences met: $notes");
    }
    $h->stop;
}

for (my $at = 0; $at < $ALL; $at += $AT_ONCE) {
    my $n = $ALL - $at < $AT_ONCE ? $ALL - $at : $AT_ONCE;
    run($seed + $at, $n);
    note("$compared requests, ", scalar(grep { $_ } values %literal), " applications to the letter, ",
         join ', ', map { "$_ $met{$_}" } sort keys %met);
}
ok(1, "seed $seed");
done_testing;
