# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# The header for other modules compiles by itself, the example in docs/api.md
# does what it says, and who uses the header can do without the module.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Place qw(top apxs apxs_query public_tempdir);

my $top = top();
my $dir = public_tempdir('api');

sub write_file {
    my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print $fh $text;
    close $fh or die "$dir/$name: $!";
    return "$dir/$name";
}

### Headers, as C and as C++, each alone and all together

my $apr = join ' ', map { '-isystem ' . apxs_query($_) }
    qw(INCLUDEDIR APR_INCLUDEDIR APU_INCLUDEDIR);
my $flags = apxs_query('EXTRA_CPPFLAGS');
my @headers = map { s{.*/}{}r } sort glob "$top/include/*.h";
cmp_ok(scalar @headers, '>=', 3, 'there are headers');
for my $set (map({ [$_] } @headers), [@headers, reverse @headers]) {
    my $text = join '', map { qq(#include "$_"\n) } @$set;
    my $name = @$set > 1 ? 'all of them' : $set->[0];
    for (['c', 'cc', '-std=c99'], ['cpp', 'c++', '-std=c++11']) {
        my ($suffix, $compiler, $std) = @$_;
        my $file = write_file("h.$suffix", $text);
        my $said = qx($compiler $std -D_GNU_SOURCE $flags -Wall -Wextra -Wpedantic -Werror -I'$top/include' $apr -fsyntax-only '$file' 2>&1);
        is($? . $said, '0', "$name, $compiler $std");
    }
}
my $use = write_file('use.cpp', <<'END');
#include "ratelimit_ext.h"
static APR_OPTIONAL_FN_TYPE(rlx_ext_prepare) *prepare;
static APR_OPTIONAL_FN_TYPE(rlx_ext_charge) *charge;
static void breach(request_rec *, const rlx_ext_outcome_t *) { }
int use(apr_pool_t *p, request_rec *r)
{
    rlx_ext_spec_t spec = RLX_EXT_SPEC_INIT;
    const rlx_ext_limits_t *limits;
    const rlx_ext_outcome_t *outcome;
    prepare = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_prepare);
    charge = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_charge);
    APR_OPTIONAL_HOOK(rlx, ratelimit_breach, breach, NULL, NULL, APR_HOOK_MIDDLE);
    spec.limits = "1/second";
    return prepare(p, r->server, &spec, &limits) == NULL
           && charge(r, limits, "key", 1, RLX_EXT_ONLY_TEST, &outcome) == APR_SUCCESS;
}
END
my $said = qx(c++ -std=c++11 -D_GNU_SOURCE $flags -Wall -Wextra -Werror -I'$top/include' $apr -fsyntax-only '$use' 2>&1);
is($? . $said, '0', 'what the header says may be used from C++');

### The example

my $doc = do { local (@ARGV, $/) = "$top/docs/api.md"; <> };
my ($example) = $doc =~ /^```c\n(.*?)^```/ms;
write_file('mod_upload_limit.c', $example);
$said = qx(cd '$dir' && @{[apxs()]} -c -I'$top/include' -Wc,-Wall -Wc,-Wextra -Wc,-Wno-unused-parameter -Wc,-Wno-missing-field-initializers -Wc,-Werror mod_upload_limit.c 2>&1);
is($?, 0, 'the example compiles') or diag($said);
my $load = qq(LoadModule upload_limit_module "$dir/.libs/mod_upload_limit.so"\n);

{
    my $h = RateLimit::Httpd->start(faketime => 1, conf => <<"END");
$load
<Location "/limited">
    RateLimit "1 per hour" key=%{req:X-Key}
</Location>
END
    my $c = $h->client;
    my @put = ('PUT', '/x', { 'X-Forwarded-For' => '10.1.2.3', Accept => 'text/plain' }, 'data');
    is_deeply([map { $c->request(@put)->code } 1 .. 4], [405, 405, 405, 429],
              'three uploads a minute (which httpd itself does not take)');
    my $r = $c->request(@put);
    is($r->body, "429 Too Many Requests: Too many uploads\n", 'then none');
    is($r->header('Retry-After'), 60, 'for a minute');
    is($c->get('/index.html', 'X-Forwarded-For' => '10.1.2.3')->code, 200, 'but for PUT');
    like($h->error_log, qr/no more for 10\.1\.2\.3 by "3 per 1 minute" for 60 s/, 'the listener');
    $c->get('/limited', 'X-Key' => 'k') for 1 .. 2;
    like($h->error_log, qr/no more for #[0-9a-f]{16} by "1 per 1 hour" for 3600 s/,
         'which hears of the limits of the configuration too');
}

### Without mod_ratelimit_ext

{
    my $h = RateLimit::Httpd->start(bare => 1, modules => ['ratelimit_use'], conf => <<"END");
$load
UseGate early "1 per hour"
UseStrikes "1 per hour"
UseLog On
<Location "/u">
    SetHandler ratelimit-use
</Location>
END
    my $c = $h->client;
    is($c->get('/u?limits=1/hour&scope=x')->body, "no limiter\n", 'who uses the module loads without it');
    is_deeply([map { $c->request('PUT', '/x', {}, 'data')->code } 1 .. 4], [(405) x 4], 'and limits nothing');
    like($h->error_log, qr/mod_ratelimit_use: mod_ratelimit_ext is not loaded/, 'and says so');
    like($h->error_log, qr/mod_ratelimit_ext is not loaded: uploads are not limited/, 'as does the example');
}

### What stops the start

my ($exit, $output) = RateLimit::Httpd->config_test(
    'UseGate early "1 per fortnight"', { modules => ['ratelimit_use'] });
isnt($exit, 0, 'httpd -t finds a limit that is none');
like($output, qr/mod_ratelimit_use: "1 per fortnight" is not a limit: the unit "fortnight" is not known/,
     'and says so');
($exit, $output) = RateLimit::Httpd->config_test(
    "RateLimitStorage shm:// log_max=100\nUseGate early '101 per hour' moving-window",
    { modules => ['ratelimit_use'] });
isnt($exit, 0, 'and one that the storage does not keep');
like($output, qr/mod_ratelimit_use: "101 per 1 hour" as a moving-window .* log_max=/, 'likewise');
is((RateLimit::Httpd->config_test(
    "RateLimitStorage shm:// log_max=100\nUseGate early '100 per hour' moving-window",
    { modules => ['ratelimit_use'] }))[0], 0, 'but not one that it does');

done_testing;
