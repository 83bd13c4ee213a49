# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# What the metrics say after requests that are known, counted by hand: in total
# and of each limit.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Metrics;
use RateLimit::Place ();

# No limit holds for it, so to look is no request that is counted.
my $status = <<'END';
<Location "/limiter-status">
    SetHandler limiter-status
</Location>
END
my $start = 1_800_000_000;
my $h = RateLimit::Httpd->start(faketime => $start, modules => ['ratelimit_use'],
    files => { 'customer/.htaccess' => qq(RateLimit "0 per day" name=theirs\n), 'customer/x' => '' },
    conf => $status . <<'END');
<Location "/a">
    RateLimit "3 per day"
    RateLimit "1000 per day" name=second
</Location>
<Location "/a/b">
    RateLimit "5 per day" override_defaults=off
</Location>
<Location "/twin">
    RateLimit "1 per day" methods=GET
    RateLimit "1 per day" methods=POST
</Location>
<Location "/try">
    RateLimit "1 per day" dry_run=on name=trial
</Location>
<Location "/dry">
    RateLimit "2 per day"
    RateLimitEngine DryRun
</Location>
<Location "/some">
    RateLimit "10 per day" exempt_when="%{QUERY_STRING} == 'x'"
</Location>
<Location "/meta">
    RateLimit "1 per day" meta="2 per day"
</Location>
<Location "/u">
    SetHandler ratelimit-use
</Location>
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName two.test
    RateLimitDefault "2 per day"
</VirtualHost>
END

sub requests {
    my ($n, $path, $client, %arg) = @_;
    my $c = $h->client($arg{port});
    $c->request($arg{method} || 'GET', $path, { 'X-Forwarded-For' => $client }) for 1 .. $n;
    $c->close;
}
my $m;
sub look {
    $m = RateLimit::Metrics->of($h);
    is_deeply($m->wrong, [], 'every line is as it should be');
}
# "3 allowed 2 refused" of a limit, or in total.
sub fates {
    my ($name, %labels) = @_;
    my @results = qw(allowed refused exempt dry_run error);
    return join ' ', map {
        my $n = $m->value($name, %labels, result => $_);
        defined $n ? $n ? "$n $_" : () : "? $_";
    } @results;
}
sub of { return fates('ratelimit_limit_requests_total', @_) }
sub in_section { my ($section, @more) = @_; return of(section => "Location $section", @more) }

look();
my $since = $m->value('ratelimit_start_time_seconds');
is($since, "$start.000000", 'when counting began');
is(in_section('/a', name => ''), '', 'what was never looked at is 0, in each result');
is($m->value('ratelimit_limit_requests_total', section => 'Location /a', name => '',
             result => 'refused'), 0, 'and said');

requests(5, '/a', '192.0.2.1');
requests(2, '/a', '192.0.2.2');
look();
is(in_section('/a', name => ''), '5 allowed 2 refused', 'a limit');
is($m->value('ratelimit_limit_requests_total', name => 'second', result => 'refused'), 0,
   'the one beside it refused nobody');
requests(1, '/a/b', '192.0.2.3');
look();
is(in_section('/a/b'), '1 allowed', 'a limit of an inner section');
is(in_section('/a', name => ''), '6 allowed 2 refused',
   'the outer one, which it inherits, is counted where it is declared');
requests(3, '/twin', '192.0.2.1');
requests(2, '/twin', '192.0.2.2', method => 'POST');
look();
is(in_section('/twin', nth => ''), '1 allowed 2 refused', 'lines that say the same');
is(in_section('/twin', nth => 2), '1 allowed 1 refused', 'each for itself');
requests(4, '/some?x', '192.0.2.1');
requests(1, '/some', '192.0.2.1');
look();
is(in_section('/some'), '1 allowed 4 exempt', 'exempt_when=');
requests(3, '/', '192.0.2.1', port => 2);
look();
is(of(source => 'default'), '2 allowed 1 refused', 'a default of a virtual host');

### Trials

requests(1, '/try', "198.51.100.$_") for 1 .. 3;
requests(3, '/try', '198.51.100.4');
requests(5, '/dry', '192.0.2.1');
look();
is(of(name => 'trial'), '4 allowed 2 dry_run', 'dry_run=on');
is(in_section('/dry'), '2 allowed 3 dry_run', 'DryRun');
is($m->value('ratelimit_trial_keys', name => 'trial'), 4, 'keys that were seen');
is($m->value('ratelimit_trial_keys_refused', name => 'trial'), 1, 'one would have been refused');
is($m->value('ratelimit_trial_keys_watched', name => 'trial'), 4, 'all were watched');
is(scalar(my @few = $m->series('ratelimit_trial_quota')), 0, 'too few to tell of a quota');
# 98 that ask once and three that ask thrice: 4 is what refuses none, and 1 in
# 100 may be refused.
requests(1, '/try', "203.0.113.$_") for 1 .. 98;
look();
is($m->value('ratelimit_trial_keys', name => 'trial'), 102, 'more keys');
is($m->value('ratelimit_trial_quota', name => 'trial', refused_ratio => '0.01'), 1,
   'one of 102 is refused by 1 a day, which is less than 1 %');
is(scalar(grep { ($_->[1]{refused_ratio} // '') eq '0.001' } $m->series('ratelimit_trial_quota')),
   0, 'too few to tell of 0.1 %');
is(scalar(grep { ($_->[1]{section} // '') eq 'Location /a' } $m->series('ratelimit_trial_keys')),
   0, 'a limit that is enforced is on no trial');

### In total

is(fates('ratelimit_requests_total'), do {
    my $allowed = 5 + 1 + 2 + 1 + 2 + 4 + 98 + 2;
    my $refused = 2 + 3 + 1;
    "$allowed allowed $refused refused 4 exempt 5 dry_run"
}, 'all requests') or diag join "\n", grep { /^ratelimit_requests/ } split /\n/, $m->text;

### Meta limits

requests(5, '/meta', '192.0.2.77');
look();
is(in_section('/meta', source => 'own'), '1 allowed 2 refused',
   'two are refused by the limit, and the meta limit looks on');
is(in_section('/meta', source => 'own-meta'), '3 allowed 2 refused', 'then it refuses');

### Limits that are in no configuration

is(scalar(grep { ($_->[1]{source} // '') eq 'module' } $m->series), 0,
   'no other module has limits');
requests(3, '/u?limits=2/minute&scope=e&key=k', '192.0.2.1');
look();
is(of(source => 'module'), '2 allowed 1 refused', 'limits of other modules are one line');
my $refused = $m->value('ratelimit_requests_total', result => 'refused');
requests(2, '/customer/x', '192.0.2.1');
look();
is(scalar(grep { ($_->[1]{name} // '') eq 'theirs' } $m->series), 0,
   'limits of .htaccess files have no series');
is($m->value('ratelimit_requests_total', result => 'refused'), $refused + 2,
   'but are in the total');

### Over restarts, and in the other form

my @before = map { "@$_[0, 2]" } grep { $_->[0] =~ /_total$/ } $m->series;
$h->graceful;
look();
is_deeply([map { "@$_[0, 2]" } grep { $_->[0] =~ /_total$/ } $m->series], \@before,
          'a graceful restart goes on counting');
is($m->value('ratelimit_start_time_seconds'), $since, 'from the same time');
is_deeply([RateLimit::Metrics->of($h, 'openmetrics')->series], [$m->series],
          'OpenMetrics says the same');
$h->stop;

### A storage that does not answer

my $port = RateLimit::Place::free_port();
for (['allow', '3 error'], ['deny', '3 error']) {
    my ($failure, $want) = @$_;
    $h = RateLimit::Httpd->start(conf => $status . <<"END");
RateLimitStorage "redis://127.0.0.1:$port/" timeout=50
RateLimitStorageFailure $failure
<Location "/a">
    RateLimit "100 per day"
</Location>
END
    requests(3, '/a', '192.0.2.1');
    look();
    is(fates('ratelimit_requests_total'), $want, "RateLimitStorageFailure $failure");
    is(in_section('/a'), $want, 'of the limit, too');
    $h->stop;
}
done_testing;
