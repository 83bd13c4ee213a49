# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Limits of another module are exact over all children and threads, and its
# counters outlive a graceful restart.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    faketime => 1, children => 4, modules => ['ratelimit_use'], conf => <<'END');
<Location "/u">
    SetHandler ratelimit-use
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName gate
    UseGate access "5 per hour"
</VirtualHost>
END
my $c = $h->client;
sub code { my ($query) = @_; return $c->get("/u?$query&refuse=1")->code }

# All at once: by each strategy, and by costs.
for my $strategy (0 .. 3) {
    my $query = "limits=70/hour&scope=s&key=k&strategy=$strategy&refuse=1";
    is_deeply($c->parallel(8, 100, "/u?$query"), { 200 => 70, 429 => 30 },
              "strategy $strategy: as many as it allows");
}
is_deeply($c->parallel(8, 60, '/u?limits=100/hour&scope=cost&key=k&cost=3&refuse=1'),
          { 200 => 33, 429 => 7 + 20 }, 'costs of 3: 33 of 100');
is(code('limits=100/hour&scope=cost&key=k'), 200, 'the one that is left');
is(code('limits=100/hour&scope=cost&key=k'), 429, 'is the last');

# Two limits: what the one refuses is not charged to the other.
is_deeply($c->parallel(8, 60, '/u?limits=20/minute;50/hour&scope=two&key=k&refuse=1'),
          { 200 => 20, 429 => 40 }, 'the shorter limit refuses');
$h->advance(60);
is_deeply($c->parallel(8, 40, '/u?limits=20/minute;50/hour&scope=two&key=k&refuse=1'),
          { 200 => 20, 429 => 20 }, 'the longer has 30 left');
$h->advance(60);
is_deeply($c->parallel(8, 30, '/u?limits=20/minute;50/hour&scope=two&key=k&refuse=1'),
          { 200 => 10, 429 => 20 }, 'and then 10');

# Each charges and gives back: nothing is lost and nothing gained.
$c->parallel(8, 60, '/u?limits=100/hour&scope=back&key=k&cost=2&back=1&strategy=' . $_)
    for 0, 1, 3;
for my $strategy (0, 1, 3) {
    is(code("limits=100/hour&scope=back&key=k&cost=100&strategy=$strategy"), 200,
       "strategy $strategy: all are given back");
}

### A graceful restart

my $gate = $h->client(2);
is_deeply([map { $gate->get('/')->code } 1 .. 3], [200, 200, 200], 'prepared at start: three of five');
is(code('limits=2/hour&scope=kept&key=k'), 200, 'prepared for a request: one of two');
$h->graceful;
is_deeply([map { $gate->get('/')->code } 1 .. 3], [200, 200, 429], 'two are left after it');
is(code('limits=2/hour&scope=kept&key=k'), 200, 'one is left');
is(code('limits=2/hour&scope=kept&key=k'), 429, 'and no more');
is_deeply($c->parallel(8, 30, '/u?limits=20/hour&scope=new&key=k&refuse=1'),
          { 200 => 20, 429 => 10 }, 'new ones are exact as before');

# Listeners are those of the new configuration, once each.
my $breaches = () = $h->error_log =~ /use: breach .* of \d+, new$/mg;
is($breaches, 10, 'and each breach is told once');

done_testing;
