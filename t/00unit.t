# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 60
# mpm: any
# sanitized: no
#
# The unit tests in C speak TAP themselves: their lines are passed on, so that
# prove and t/TEST count each of them.
use strict;
use warnings;
use FindBin ();
use Test::More;

my @sources = glob "$FindBin::Bin/unit/test_*.c";
@sources or BAIL_OUT('no unit tests');
for my $source (@sources) {
    my ($name) = $source =~ m{test_(\w+)\.c$};
    my $program = "$FindBin::Bin/unit/bin/test_$name";
    -x $program or BAIL_OUT("$program: make -f Makefile.apxs unit-build");
    my @lines = qx($program 2>&1);
    my $status = $?;
    my ($count, $plan) = (0);
    for (@lines) {
        $plan = $1 if /^1\.\.(\d+)$/;
        if (/^(not )?ok \d+(?: - (.*))?$/) {
            $count++;
            ok(!$1, "$name: " . ($2 // $count));
        }
        elsif (/^\s*#/ || $status) {
            chomp;
            diag($_) if $status;
        }
    }
    is($count, $plan // 'a plan', "$name: all ran");
    is($status, 0, "$name: ends well");
}
done_testing;
