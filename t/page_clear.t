# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 12
# mpm: any
# sanitized: no
#
# Clearing in a browser: by a click, one limit of a key, a key, everything,
# with scripts and without; not by a page of another origin, whatever it
# sends; and no button where it is not allowed.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Browser;
use RateLimit::Httpd;

my $conf = <<'END';
RateLimitHeaders On
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
    RateLimitStatusControl On
</Location>
<Location "/look-only">
    SetHandler limiter-status
    RateLimitExempt All
</Location>
<Location "/a">
    RateLimit "2 per hour" name=short
    RateLimit "5 per day" name=long
</Location>
<VirtualHost *:@PORT2@>
    ServerName attacker.example.com
    RateLimitEngine Off
</VirtualHost>
END
my $h = RateLimit::Httpd->start(
    conf => $conf, children => 1, files => {
        a => "a\n",
        map { ("attack-$_.html" => attack($_)) } qw(form fetch),
    });
my $c = $h->client;
my $b = RateLimit::Browser->start;
my $page = $h->url('/limiter-status');

# A page that sends a form to another origin, or posts by a script. Which
# origin stands behind the #.
sub attack {
    my ($how) = @_;
    my $send = $how eq 'form' ? 'document.forms[0].submit()' : <<'END';
fetch(location.hash.slice(1), { method: 'POST', mode: 'no-cors', credentials: 'include',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'action=clear-all' }).finally(function () { document.title = 'sent' })
END
    return <<"END";
<!DOCTYPE html>
<title>attack</title>
<link rel="icon" href="data:,">
<form method="post">
<input type="hidden" name="action" value="clear-all">
</form>
<script>
document.forms[0].setAttribute('action', location.hash.slice(1));
$send
</script>
END
}

# What a key has left of "2 per hour" and "5 per day", "-" for no counter.
sub left {
    my ($key) = @_;
    my $text = $c->get("/limiter-status?key=$key", Accept => 'text/html')->body;
    my %left;
    for ($text =~ m{<tr>(.*?)</tr>}gs) {
        my ($name) = /class="name">(\w+)</ or next;
        $left{$name} = $1 if /data-label="Left">(\d+)/;
    }
    return join ' ', map { $left{$_} // '-' } qw(short long);
}
sub ask { my ($key, $n) = @_;
          return join ' ', map { $c->get('/a', 'X-Forwarded-For' => $key)->code } 1 .. $n }

### One limit, then a key

is(ask('192.0.2.1', 3), '200 200 429', 'a key is refused');
is(ask('192.0.2.2', 1), '200', 'another has one left');
is(left('192.0.2.1'), '0 3', 'as the page says');
$b->open("$page?key=192.0.2.1");
is($b->count('#answer td form.clear'), 2, 'a button for each counter');
like($b->text('#answer .sum'), qr/^No room in 1 of 2 counters that it has used, for \d/,
     'how it stands, in a sentence');
$b->click('#answer tbody tr:first-child form.clear button');
ok($b->wait_for('document.querySelector(".notice")'), 'a click clears one');
like($b->text('.notice'), qr/\b1\b.*clear/i, 'which is told');
is(left('192.0.2.1'), '- 3', 'that limit alone');
like($b->text('#answer .sum'), qr/^There is room in all that it has used: 1 counter\.$/,
     'how it stands now');
is(ask('192.0.2.1', 1), '200', 'it passes again');
like($b->url, qr/[?&]key=192\.0\.2\.1/, 'the key is still shown');
is($b->run('return document.querySelectorAll(".answer").length'), 1, 'with what is left');
$b->click('#answer .card > form.clear button');
ok($b->wait_for('/^2\b/.test(document.querySelector(".notice").innerText)'),
   'a click clears the key');
is(left('192.0.2.1'), '- -', 'all of it');
is(left('192.0.2.2'), '1 4', 'and not another key');
$b->open("$page?key=%3Cscript%3Ealert(1)%3C/script%3E%22%26%2B");
$b->click('#answer form.clear button');
ok($b->wait_for('document.querySelector(".notice")'), 'a key as odd as that');
is($b->dialogue, undef, 'is not run');
is($b->text('#answer h2'), 'Key <script>alert(1)</script>"&+', 'and stays what it is');

### Not from another origin

# Another port is another origin of the same site; another name another site.
my $port = $h->port(2);
for my $from ("http://127.0.0.1:$port", "http://localhost:$port") {
    my $mark = $h->mark;
    $b->open("$from/attack-form.html#$page");
    ok($b->wait_for('!/attack/.test(location.pathname)'), "$from: a form is sent");
    like($b->text('body'), qr/another site|forbidden/i, "$from: and turned down");
    is($b->run(<<'END'), 403, "$from: with 403");
return performance.getEntriesByType('navigation')[0].responseStatus;
END
    $b->open("$from/attack-fetch.html#$page");
    ok($b->wait_for('document.title === "sent"'), "$from: so is a script");
    is(left('192.0.2.2'), '1 4', "$from: nothing is cleared");
    unlike($h->error_log($mark), qr/RLX015[12]/, "$from: nothing, as the log says");
    is(() = $h->error_log($mark) =~ /RLX0153/g, 2, "$from: which has both of them");
}
# The page cannot be framed to have its buttons clicked.
is($c->get('/limiter-status', Accept => 'text/html')->header('X-Frame-Options'), 'DENY',
   'the page is in nobody\'s frame');

### Everything

$b->open("$page?refresh=60");
ok(!$b->run('return document.querySelector("#clear form").checkVisibility()'),
   'the button that clears everything is folded away');
$b->click('#clear summary');
$b->click('#clear form button');
ok($b->wait_for('document.querySelector(".notice")'), 'two clicks clear everything');
is(left('192.0.2.2'), '- -', 'which is so');
like($b->url, qr/refresh=60/, 'the page goes on as it was');
my $url = $b->url;
ask('192.0.2.3', 1);
$b->open($url);
is(left('192.0.2.3'), '1 4', 'to load it again clears nothing');
is_deeply([ grep { !/403|favicon/ } $b->console ], [], 'the console is empty');

### Without scripts

ask('192.0.2.4', 1);
$b->scripts(0);
$b->open("$page?key=192.0.2.4");
$b->click('#answer .card > form.clear button');
ok($b->wait_for('document.querySelector(".notice")'), 'a click clears');
is(left('192.0.2.4'), '- -', 'without scripts as well');
$b->scripts(1);

### Where it is not allowed

ask('192.0.2.5', 1);
$b->open($h->url('/look-only?key=192.0.2.5'));
is($b->count('.answer tbody tr'), 2, 'a key is shown');
is($b->count('form[method=post]'), 0, 'and no button');
done_testing;
