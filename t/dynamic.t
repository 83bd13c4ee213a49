# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Limits that are an expression: what they give, when they give nothing, and
# that neither many strings nor wrong ones hurt.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Visitor qw(visit fresh get codes field);

my $h = RateLimit::Httpd->start(
    modules => ['rewrite'],
    files => {
        '../plans.txt' => "gold 5/hour\nsilver 3/hour\nsilver-too 3/hour\n"
                        . "free 2/hour,1/minute\nbroken ten/hour\n",
        'htaccess/.htaccess' => qq(RateLimit "%{req:X-Plan}"\n),
        map { ("$_/x" => "x\n") } qw(plan plan/inner both shared name moving
                                     section htaccess mixed method only),
    },
    conf => <<'END');
RateLimitHeaders On
RateLimitDefault "4 per hour"
RateLimitDefault "%{req:X-Default}" per_method=on
RateLimitApplication "%{req:X-Umbrella}"
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>

RewriteEngine On
RewriteMap plans "txt:@DIR@/plans.txt"
RewriteRule ^/plan - [E=PLAN:${plans:%{HTTP:X-Api-Key}}]
<Location "/plan">
    RateLimit "%{env:PLAN}" key=%{req:X-Api-Key}
</Location>
<Location "/plan/inner">
    RateLimit "100 per day" override_defaults=off
</Location>
<Location "/both">
    RateLimit "%{req:X-Plan}" override_defaults=off
</Location>
<Location "/shared">
    RateLimitShared "%{req:X-Plan}" scope=s
</Location>
<Location "/name">
    RateLimit "%{req:X-Plan}" name=plan
</Location>
<Location "/moving">
    RateLimit "%{req:X-Plan}" strategy=moving-window
</Location>
<Location "/section">
    RateLimit "%{req:X-Plan}"
    RateLimitStrategy moving-window
</Location>
<Location "/mixed">
    RateLimit "9 per day; %{req:X-Plan} | 8 per %{req:X-Unit}"
</Location>
<Location "/only">
    RateLimit "%{req:X-Plan}"
</Location>
<Location "/method">
    RateLimit "%{req:X-Plan}" methods=POST
</Location>
END

visit($h);
sub limit { return field('Limit', @_) }

### By customer

fresh;
my @key = 'X-Api-Key';
is(limit('/plan/x', @key => 'gold'), 5, 'gold');
is(codes(5, '/plan/x', @key => 'gold'), '200 200 200 200 429', 'is that');
is(codes(4, '/plan/x', @key => 'silver'), '200 200 200 429', 'silver');
is(limit('/plan/x', @key => 'silver-too'), 3, 'the same string, another key');
is(get('/plan/x', @key => 'silver-too')->header('X-RateLimit-Remaining'), 1,
   'another counter');
is(codes(2, '/plan/x', @key => 'free'), '200 429', 'two limits');
my $r = get('/plan/x', @key => 'free');
like($r->body, qr/"1 per 1 minute"/, 'the shorter one refuses');

### Nothing, and what is wrong: the directive is as good as absent

is(limit('/plan/x', @key => 'nobody'), 4, 'empty: the default holds');
is(codes(4, '/plan/x', @key => 'nobody'), '200 200 200 429', 'and counts');
fresh;
my $mark = $h->mark;
is(codes(5, '/plan/x', @key => 'broken'), '200 200 200 200 429',
   'malformed: the default holds');
for (1 .. 20) { get('/plan/x', @key => 'broken') }
my @said = $h->error_log($mark) =~ /RLX0030: (.*)/g;
cmp_ok(scalar @said, '>=', 1, 'that is logged');
cmp_ok(scalar @said, '<=', 2, 'once by each child');
like($said[0], qr/the limit %\{env:PLAN\} on line \d+ of \S+ gives .*ten\/hour.*holds for no such request.*"ten\/hour" is not a limit/,
     'in so many words') or diag $said[0];
fresh;
is(limit('/plan/inner/x', @key => 'gold'), 5, 'inherited');
is(limit('/plan/inner/x', @key => 'nobody'), 4,
   'inherited nothing, and so the default');
fresh;
is(limit('/both/x', 'X-Plan' => '2/minute'), 2, 'beside the default');
is(limit('/both/x'), 4, 'or not');
is(limit('/both/x', 'X-Plan' => '  '), 4, 'blanks are nothing');
is(limit('/method/x', 'X-Plan' => '1/hour'), 4, 'not for this method');

### Defaults and umbrellas

fresh;
is(limit('/nowhere', 'X-Default' => '3/minute'), 3, 'a default');
is(codes(3, '/nowhere', 'X-Umbrella' => '2/second'), '404 404 429',
   'an umbrella');
is(limit('/nowhere'), 4, 'neither');

### Other forms

fresh;
is(codes(3, '/shared/x', 'X-Plan' => '2/hour'), '200 200 429', 'shared');
$mark = $h->mark;
is(limit('/name/x', 'X-Plan' => '2/hour'), 2, 'a name');
is(limit('/name/x', 'X-Plan' => '7/hour'), 7, 'goes on when the plan changes');
is(get('/name/x', 'X-Plan' => '7/hour')->header('X-RateLimit-Remaining'), 4,
   'with what was used');
is(limit('/name/x', 'X-Plan' => '2/hour;5/day'), 4, 'a name for two: none');
like($h->error_log($mark), qr/RLX0030: .*name= belongs to one limit/, 'says it');
fresh;
is(limit('/moving/x', 'X-Plan' => '10000/hour'), 10000, 'a log that fits');
is(limit('/moving/x', 'X-Plan' => '10001/hour'), 4, 'and one that does not');
like($h->error_log($mark), qr/RLX0030: .*log_max/, 'is explained');
is(limit('/section/x', 'X-Plan' => '10001/hour'), 10001,
   'a strategy of the section counts otherwise');
fresh;
is(limit('/mixed/x', 'X-Plan' => '7/hour', 'X-Unit' => 'second'), 8,
   'put together of text and expressions');
is(limit('/mixed/x', 'X-Plan' => '7/hour', 'X-Unit' => 'fortnight'), 4, 'wrong');
fresh;
is(codes(3, '/htaccess/x', 'X-Plan' => '2/minute'), '200 200 429', '.htaccess');
is(limit('/htaccess/x'), 4, '.htaccess, empty');

### Many strings, long ones, hostile ones

fresh;
my $wrong = 0;
for my $n (5 .. 1204) {
    my $got = limit('/only/x', 'X-Plan' => "$n/second");
    $wrong++ if $got != $n;
}
is($wrong, 0, '1200 different strings');
is(limit('/only/x', 'X-Plan' => '5/minute' . ' ' x 300), 5, 'a long one');
is(limit('/only/x', 'X-Plan' => join ',', ('6/second') x 32), 6, '32 limits');
$mark = $h->mark;
for my $bad (('6/second,' x 33) . '1/minute', 'x' x 7000, "\xff\xfe", '%{req:X}',
             '${x}', '-1/hour', '1/hour,', '10 per "hour"', '<script>') {
    fresh;
    is(limit('/both/x', 'X-Plan' => $bad), 4, 'wrong: ' . substr($bad, 0, 12)
       =~ s/[^ -~]/?/gr);
}
cmp_ok(length((sort { length $b <=> length $a }
               split /\n/, $h->error_log($mark))[0]), '<', 1000,
       'no line of the log is long');
fresh;
get('/both/x', 'X-Plan' => "bad$_") for 1 .. 2000;
my $lines = () = $h->error_log($mark) =~ /RLX0030/g;
cmp_ok($lines, '<=', 2 * 512, 'lines are bounded');

### Threads that meet

$h->graceful;
my $codes = $h->client->parallel(8, 800, '/both/x',
                                 { 'X-Plan' => '100/hour', 'X-Forwarded-For' => '198.51.100.1' });
is($codes->{200}, 4, 'all threads see one limit');
is($h->error_log =~ /exit signal/, '', 'no child died');

$h->stop;
done_testing;
