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
done_testing;
