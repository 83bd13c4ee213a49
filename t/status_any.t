# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# Whatever is in a query, a form or a field of a request to limiter-status, and
# in what was counted before: the answer is whole, of the kind that it says it
# is, and none is an internal error. Random, but the same with RLX_SEED=n.
use strict;
use warnings FATAL => 'all';

use Encode ();
use FindBin ();
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Xml qw(xml_error);

my $seed = $ENV{RLX_SEED} // int rand 2**31;
diag "RLX_SEED=$seed";
srand $seed;

my $h = RateLimit::Httpd->start(children => 2, conf => <<'END');
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
    RateLimitStatusControl On
</Location>
<Location "/two">
    RateLimit "3 per hour" name=hourly
    RateLimit "5 per day" strategy=moving-window
</Location>
<Location "/user">
    RateLimit "2 per hour" key=%{req:X-User}
    RateLimit %{req:X-Limit}
</Location>
END
my $c = $h->client;

my @words = ('key', 'path', 'method', 'server', 'format', 'refresh', 'tree', 'done', 'cleared',
             'notes', 'action', 'limit', '/two/a', '/user', 'hourly', '3 per 1 hour', '10.1.2.3',
             '2001:db8::1', 'clear', 'html', 'json', 'text', 'prometheus', 'GET', 'POST', '1', '-1',
             '99999999999999999999', '/../..//two', '/limiter-status?path=/limiter-status', '_main',
             '127.0.0.1:80', 'text/html;q=0.5', '*/*', 'application/openmetrics-text',
             "\xc3\xa4", "\xed\xa0\x80", "\xff\xfe", '<script>', '"\'&', "\e[2J", ']]>');
sub any_of { return $_[ rand @_ ] }
sub any_bytes { return join '', map { chr int rand 256 } 1 .. 1 + rand 8 }
sub any_text {
    return join '', map { rand() < .8 ? any_of(@words) : any_bytes() } 1 .. 1 + rand 3;
}
sub escaped {
    my ($text) = @_;
    return $text =~ s/([^\w.\/:-])/sprintf '%%%02X', ord $1/ger if rand() < .8;
    return $text =~ s/[\x00-\x20\x7f]/+/gr;
}
sub any_pairs {
    return join any_of('&', '&', '&', ';', '&&'), map {
        (rand() < .9 ? any_of(@words[ 0 .. 11 ]) : escaped(any_text())) . (rand() < .95 ? '=' : '')
            . escaped(rand() < .5 ? any_of(@words) : any_text())
    } 1 .. rand 5;
}
sub any_form {
    return any_pairs() if rand() < .3;
    return 'action=clear&key=' . (rand() < .5 ? '10.1.2.3' : escaped(any_text())) . '&'
           . (rand() < .5 ? any_pairs() : 'limit=' . escaped(rand() < .5 ? 'hourly' : any_text()));
}
sub any_field { return any_text() =~ s/[\x00-\x1f\x7f]/ /gr }

# What is wrong with an answer; '': nothing.
sub wrong {
    my ($r, $text) = ($_[0], $_[0]->body);
    my $type = $r->header('Content-Type') // '';

    return 'code ' . $r->code if $r->code !~ /^(?:200|303|4\d\d)$/;
    return '' if $r->code == 303;
    return 'no UTF-8' if !eval { Encode::decode('UTF-8', "$text", Encode::FB_CROAK); 1 };
    return 'control characters' if $text =~ /[\x00-\x08\x0b-\x1f\x7f]/;
    return "no JSON: $@" if $type =~ /json/ && !eval { JSON::PP->new->utf8->decode($text); 1 };
    return xml_error($text) if $type =~ m{^text/html} && $r->code == 200;
    return '';
}

my (%codes, @bad);
for my $i (1 .. 250) {
    my $query = any_pairs();
    my %fields = (Accept => rand() < .5 ? any_of(qw(text/html application/json text/plain */*)) : any_field(),
                  'X-Forwarded-For' => rand() < .7 ? any_of('10.1.2.3', '2001:db8::1') : any_field());
    my $r;

    $c->get(any_of('/two/a', '/user/' . escaped(any_text())), %fields, 'X-User' => any_field(),
            'X-Limit' => any_of('1 per day', any_field())) if $i % 3 == 0;
    $r = $i % 2 ? $c->get("/limiter-status?$query", %fields)
                : $c->post("/limiter-status?$query", any_form(), %fields,
                           rand() < .9 ? () : ('Content-Type' => any_field()));
    $codes{ $r->code }++;
    push @bad, wrong($r) . ": $i $query" if wrong($r) ne '';
}
is(join("\n", @bad), '', 'every answer is right');
diag join ' ', map { "$_: $codes{$_}" } sort keys %codes;
cmp_ok($codes{200} // 0, '>', 50, 'many are answered');
is($c->get('/limiter-status', Accept => 'application/json')->code, 200, 'and it goes on');
done_testing;
