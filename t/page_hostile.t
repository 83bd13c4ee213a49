# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# The page of limiter-status is whole, and well-formed, whatever its query is
# and whatever the configuration holds.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Xml qw(xml_error);

my $h = RateLimit::Httpd->start(children => 1, conf => <<'END');
RateLimitDefault "600 per minute"
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
    RateLimitStatusControl On
</Location>
<Location "/a&amp;<b>'x'">
    RateLimit "10 per minute" cost=2 error_message="]]> <!-- & \"quotes\" </script>" exempt_when="%{HTTP_USER_AGENT} =~ /<b>/"
</Location>
<LocationMatch "^/ä€\x01">
    RateLimitEndpoint "<u>&%{REQUEST_URI}"
</LocationMatch>
END
my $c = $h->client;

for my $query ('', '?', '?&&=&a&=b&key', '?key=%', '?key=%zz&path=/%00', '?key=%00x',
               '?tree=_main', '?tree=%3Cb%3E', '?refresh=-4&path=/x', '?refresh=99999999999',
               '?refresh=x', '?key=' . '%FF' x 2000, '?key=' . '%3C' x 2000,
               '?path=/a%26amp;%3Cb%3E%27x%27&method=%3Cb%3E&server=%22nope', '?key=+&refresh=+',
               '?path=/%C3%A4%E2%82%AC%01&key=%EF%BF%BD%1B%5B2J', '?key=]]%3E%3C!--',
               '?refresh=5&format=html&key=a%26b%3Dc&tree=x&done=clear&cleared=%3Cb%3E') {
    my $r = $c->get("/limiter-status$query", Accept => 'text/html');
    my $name = substr $query, 0, 60;
    is($r->code, 200, "\"$name\": a page");
    is(xml_error($r->body), '', "\"$name\": well-formed");
    unlike($r->body, qr/<u>|<!--|<b>(?:'|&#39;)/, "\"$name\": nothing but text");
}

### Fields of every form, and of the page

my %fields = ('Cache-Control' => 'no-store', 'X-Content-Type-Options' => 'nosniff');
for my $form (qw(html json text prometheus)) {
    my $r = $h->client->get("/limiter-status?format=$form");
    is_deeply({ map { $_ => $r->header($_) } keys %fields }, \%fields, "$form: fields");
    like($r->header('Vary'), qr/\bAccept\b/, "$form: Vary");
}
for my $form ('', 'HTML', 'xml', 'prometheus2', 'text%20') {
    my $r = $h->client->get("/limiter-status?format=$form", Accept => 'text/html');
    is($r->code, 400, "format=\"$form\" is none");
    is($r->body, "format= is one of html, json, text and prometheus\n", 'and these are');
}
my $r = $h->client->get('/limiter-status?format=html');
is($r->header('X-Frame-Options'), 'DENY', 'the page: no frame');
is($r->header('Referrer-Policy'), 'same-origin', 'nobody is told what was asked');
for ([ 5 => 5 ], [ 3600 => 3600 ], [ 3601 => 3600 ], [ 99999999999 => 3600 ], [ -4 => 0 ],
     [ x => 0 ], [ '' => 0 ]) {
    my ($asked, $sec) = @$_;
    my $body = $h->client->get("/limiter-status?format=html&refresh=$asked")->body;
    like($body, qr/<script [^>]*data-refresh="$sec">/, "refresh=$asked: $sec");
    is(() = $body =~ /http-equiv="refresh"/g, $sec ? 1 : 0, 'and without scripts');
}

### Sent back after a clearing: never to another host

$h->stop;
$h = RateLimit::Httpd->start(children => 1, conf => <<'END');
MergeSlashes Off
RateLimitDefault "600 per minute"
<LocationMatch "/limiter-status$">
    SetHandler limiter-status
    RateLimitStatusControl On
</LocationMatch>
END
for my $path ('/limiter-status', '//evil.example/limiter-status', '///evil.example/limiter-status',
              '/%5Cevil.example/limiter-status', '/%0D%0ASet-Cookie:a=b/limiter-status') {
    my $sent = $h->client->post($path, 'action=clear&key=a', Accept => 'text/html',
                                'Content-Type' => 'application/x-www-form-urlencoded');
    is($sent->code, 303, "$path: sent back");
    like($sent->header('Location'), qr{^/[^/\\\r\n][^\r\n]*\?done=clear&cleared=\d+$}, 'to this host');
    is($sent->header('Set-Cookie'), undef, 'with no field of its own');
}
done_testing;
