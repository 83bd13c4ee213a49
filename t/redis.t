# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitStorage redis://: the same answers as shared memory at the same
# times; exact over several servers; one call a request; names, lives and
# secrets of its keys; and the least rights that it needs.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Load qw(at_once total);
use RateLimit::Redis ();

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my @modes = qw(atomic in-order all);

sub location {
    my ($path, @lines) = @_;
    return join "\n", "<Location /$path>", @lines, "</Location>\n";
}

# The same requests to two virtual hosts, one counted in shared memory and one
# in Redis, whose clocks are the same: statuses and fields are the same.
{
    my $redis = RateLimit::Redis->prepare;
    my $limits = join '', map {
        my $s = $_;
        (location("$s/one", qq(RateLimit "3 per 10 seconds" strategy=$s)),
         location("$s/back", qq(RateLimit "4/30 seconds" strategy=$s )
                  . 'deduct_when="%{REQUEST_STATUS} == 404" reserve=on'),
         map { location("$s/$_", "RateLimitCharge $_",
                        qq(RateLimit "2/second; 5/10 seconds; 7/minute" )
                        . "strategy=$s")
         } @modes);
    } @strategies;
    my $h = RateLimit::Httpd->start(faketime => 1, conf => <<"END");
RateLimitHeaders On
<VirtualHost *:\@PORT\@>
ServerName localhost
$limits
</VirtualHost>
<VirtualHost *:\@PORT2\@>
ServerName localhost
RateLimitStorage @{[$redis->uri]} timeout=5000
$limits
</VirtualHost>
END
    $redis->launch(clock => $h);
    my @clients = ($h->client, $h->client(2));
    my @paths = map { my $s = $_; map { "/$s/$_" } 'one', @modes,
                qw(back/no back/yes) } @strategies;
    $h->write("$_/back/yes", "x\n") for @strategies; # 200: it is given back
    srand 20270115;
    my ($asked, $different, %codes) = (0, 0);
    for (1 .. 800) {
        $h->advance((0, 0, 0.000001, 0.01, 0.05, 0.1, 0.25, 0.999999)[rand 8]);
        my $path = $paths[rand @paths];
        my $address = '10.0.0.' . int rand 2;
        my @answers = map {
            my $r = $_->get($path, 'X-Forwarded-For' => $address);
            join ' ', $r->code, map { $r->header($_) // '-' } 'Retry-After',
                map { "X-RateLimit-$_" } qw(Limit Remaining Reset);
        } @clients;
        $asked++;
        $codes{ substr $answers[0], 0, 3 }++;
        $answers[0] eq $answers[1] or $different++
            or diag("$path at ", $h->now, ": $answers[0] <> $answers[1]");
    }
    is($different, 0, "$asked answers as those of shared memory");
    cmp_ok($codes{$_} // 0, '>', 100, "many of them were $_") for 404, 429;
    like($h->error_log, qr/refused: client 10\.0\.0\.1/, 'refusals are logged');
    unlike($h->error_log, qr/cannot answer/, 'Redis answered all the time');
}

# Two servers, one Redis: together they let pass what a limit has.
{
    my $redis = RateLimit::Redis->start;
    my $conf = "RateLimitStorage @{[$redis->uri]} timeout=5000\n" . join '', map {
        my $s = $_;
        map { location("$s-$_", "RateLimitCharge $_",
                       qq(RateLimit "20/hour; 40/day" strategy=$s)) } @modes;
    } @strategies;
    my @servers = map { RateLimit::Httpd->start(conf => $conf) } 1, 2;
    for my $s (@strategies) {
        for my $mode (@modes) {
            my $counts = total(at_once(map {
                my $h = $_;
                sub { $h->client->parallel(5, 100, "/$s-$mode") };
            } @servers));
            is_deeply($counts, { 404 => 20, 429 => 180 },
                      "20 of 200 over two servers, $s, $mode");
        }
    }

    # Three limits of different kinds are one call.
    is($servers[0]->client->get('/gcra-all')->code, 429, 'used up');
    my $named = $redis->uri =~ s/127\.0\.0\.1/localhost/r;
    $servers[0]->set_conf($conf =~ s/\Q${\$redis->uri}/$named/r);
    $servers[0]->graceful;
    is($servers[0]->client->get('/gcra-all')->code, 429, 'also by a name');
    unlike($servers[0]->error_log, qr/cannot answer/, 'of the host');
    $servers[0]->set_conf(<<"END");
RateLimitStorage @{[$redis->unix_uri]} timeout=5000 client_name=web-1
RateLimitApplication "1000/minute"
RateLimitDefault "500/minute; 900/hour" strategy=gcra
END
    $servers[0]->graceful;
    my $client = $servers[0]->client;
    $client->get('/');
    $redis->reset_stats;
    $client->get('/') for 1 .. 10;
    is($redis->stats->{evalsha}, 10, 'one call a request');
    is($redis->stats->{eval} // 0, 0, 'and not the whole script');
    like($redis->call('CLIENT', 'LIST'), qr/name=web-1 /, 'client_name=');

    # After SCRIPT FLUSH the script is sent once more.
    $redis->call('SCRIPT', 'FLUSH');
    $redis->reset_stats;
    is($client->get('/')->code, 200, 'after SCRIPT FLUSH') for 1 .. 3;
    is($redis->stats->{eval}, 1, 'the script is sent once more');
    unlike($servers[0]->error_log, qr/cannot answer/, 'which is no failure');

    # Connections that Redis has closed meanwhile are not used again.
    $redis->call(qw(CLIENT KILL TYPE normal SKIPME yes));
    is($client->get('/')->code, 200, 'after all connections were cut')
        for 1 .. 4;
    unlike($servers[0]->error_log, qr/cannot answer/, 'which is none either');

    my @keys = $redis->keys_there;
    cmp_ok(scalar @keys, '>', 24, 'keys of all of these');
    is_deeply([grep { $redis->call('PTTL', $_) <= 0 } @keys], [],
              'each has a time to live');
    is_deeply([grep { !/^rlx::\{127\.0\.0\.1\}:/ } @keys], [],
              'under the address, as one hash tag');
}

# Sliding windows live for two of them; what was given back is gone.
# A key that is a secret is nowhere to be seen.
{
    my $redis = RateLimit::Redis->start(conf => <<'END');
user default off
user web on >wrdPss7 resetchannels ~rlx:* +evalsha +eval +time +get +set +del +llen +lindex +rpush +rpop +ltrim +pexpire
END
    my $uri = $redis->uri =~ s{//}{//web:wrdPss7@}r;
    my $h = RateLimit::Httpd->start(conf => <<"END");
RateLimitStorage $uri timeout=5000
RateLimitKeyPrefix shop
LogLevel ratelimit_ext:debug
@{[map { location($_, qq(RateLimit "3/minute" strategy=$_ key=%{req:X-Api-Key}))
   } @strategies]}
END
    my $client = $h->client;
    for my $s (@strategies) {
        is_deeply([map { $client->get("/$s", 'X-Api-Key' => 'sEcRetK3y')->code }
                       1 .. 4], [404, 404, 404, 429],
                  "a user with the least rights, $s");
    }
    unlike($h->error_log, qr/cannot answer/, 'and no complaint');
    unlike($h->error_log, qr/sEcRetK3y|wrdPss7/, 'no secret in the log');
    $redis->stop;
    my $plain = RateLimit::Redis->start;
    $h->set_conf(<<"END");
RateLimitStorage @{[$plain->uri]} timeout=5000
RateLimitKeyPrefix "s*{}p"
RateLimitHeaders On
<Location /hidden>
    RateLimit "3/minute" strategy=sliding-window-counter key=%{req:X-Api-Key}
</Location>
<Location /moving>
    RateLimit "3/minute" strategy=moving-window key=%{req:X-Api-Key}
</Location>
END
    $h->graceful;
    $client->get($_, 'X-Api-Key' => 'sEcRetK3y') for qw(/hidden /moving);
    my @keys = $plain->keys_there;
    is(scalar @keys, 2, 'two keys');
    like($_, qr/^rlx:s%2A%7B%7Dp:\{#[\w-]{27}\}:/, 'an API key is hashed')
        for @keys;
    my ($sliding) = grep { /s3/ } @keys;
    my $ttl = $plain->call('PTTL', $sliding);
    ok($ttl > 115_000 && $ttl < 121_002, "a sliding window lives for two ($ttl)");
    my ($tag) = $keys[0] =~ /\{(.*)\}/;
    like($keys[1], qr/\{\Q$tag\E\}/, 'both keys of one client share a slot');

    # A key that somebody wrote something else to.
    my ($moving) = grep { /m3/ } @keys;
    $plain->call('DEL', $moving);
    $plain->call('SET', $moving, 'x');
    is($client->get('/moving', 'X-Api-Key' => 'sEcRetK3y')->code, 404,
       'WRONGTYPE: counted locally');
    like($h->error_log, qr/notice.*RLX0051: .*cannot answer \(it says "WRONGTYPE/,
         'and the log says what it was');
    unlike($h->error_log, qr/sEcRetK3y/, 'without the key');
}

done_testing;
