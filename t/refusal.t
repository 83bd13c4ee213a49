# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What a refused client gets: status, fields, a body in the form it asks for
# or the administrator's own; and what the error log says about it.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use RateLimit::Suite;

my $s = RateLimit::Suite->new('refusal');
my $type = 'https://iana.org/assignments/http-problem-types#quota-exceeded';
my $title = 'Request cannot be satisfied as assigned quota has been exceeded';
my $user = qq(ja"ne\e[31m);

$s->write("$_/page.html", "page of $_\n")
    for qw(one zero dry off off/really quiet user key);
$s->write('index/index.html', "index\n");
$s->write("errors/$_.html", "our $_\n") for qw(404 429 500);
$s->write_cgi('errors/429.cgi', <<'END');
printf 'Content-Type: text/plain\n\nour script, %s\n' "$REDIRECT_STATUS"
END
$s->write('users', "$user:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");    # secret

sub json { return JSON::PP->new->utf8->decode($_[0]->body) }

### Status, fields and the default body
{
    my $c = $s->fresh;
    my $r = $c->get('/one/page.html');
    is($r->code, 200, 'one passes');
    is($r->header('Retry-After'), undef, 'without Retry-After');
    is($r->header('Cache-Control'), undef, 'and may be cached');
    $r = $c->get('/one/page.html');
    is($r->code, 429, 'the second is refused');
    is($r->reason, 'Too Many Requests', 'as what it is');
    like($r->header('Retry-After'), qr/^\d+$/, 'Retry-After is a number');
    cmp_ok($r->header('Retry-After'), '<=', 3600, 'of seconds in the window');
    cmp_ok($r->header('Retry-After'), '>', 3500, 'until its end');
    is($r->header('Cache-Control'), 'no-store', 'not to be stored');
    is($r->header('Vary'), 'Accept', 'the form depends on Accept');
    is($r->header('Content-Type'), 'application/problem+json', 'problem+json');
    is($r->header('Content-Length'), length $r->body, 'of known length');
    is_deeply(json($r), {
        type => $type, title => $title, status => 429,
        detail => '1 per 1 hour', 'violated-policies' => ['1 per 1 hour'],
    }, 'with these members and no others');
    is($r->header('X-RateLimit-Limit'), undef, 'no other fields unasked');

    $r = $s->fresh->get('/zero/page.html');
    is($r->code, 429, 'a count of 0 refuses the first');
    is($r->header('Retry-After'), 120, 'for a window');
    $r = $s->fresh->get('/index/');
    is($r->code, 429, 'refused after DirectoryIndex');
    is(json($r)->{detail}, '0 per 1 minute', 'with the limit of the file');
    is($r->header('Retry-After'), 60, 'and its window');
}

### Forms
my ($problem, $json, $html, $text) = (
    'application/problem+json', 'application/json',
    'text/html; charset=utf-8', 'text/plain; charset=utf-8');
for my $case (
    [$problem, undef],
    [$problem, ''],
    [$problem, '*/*'],
    [$problem, 'application/problem+json'],
    [$problem, 'application/*'],
    [$problem, 'text/html;q=0, */*;q=0.1'],
    [$problem, 'application/json, application/problem+json'],
    [$json,    'application/json'],
    [$json,    'application/json, */*;q=0.5'],
    [$json,    'application/json;q=0.8, text/html;q=0.799'],
    [$html,    'text/html'],
    [$html,    'TEXT/HTML'],
    [$html,    'text/*'],
    [$html,    'text/html,application/xhtml+xml,application/xml;q=0.9,'
               . 'image/avif,image/webp,*/*;q=0.8'],
    [$html,    ['text/plain;q=0.1', 'text/html']],
    [$html,    'text/html;level=1;q=0.9, application/json;q=0.8'],
    [$html,    'text/html;q=0.001, application/*;q=0'],
    [$text,    'text/plain'],
    [$text,    'text/plain;q=0.5, text/html;q=0.4'],
    [$text,    'text/*;q=0.5, text/html;q=0.1'],
    [$text,    'image/png'],
    [$text,    'text/html;q=0'],
) {
    my ($want, $accept) = @$case;
    my $r = $s->fresh->get('/zero/page.html',
                           defined $accept ? (Accept => $accept) : ());
    my $shown = ref $accept ? "@$accept" : $accept // 'no Accept';
    is($r->header('Content-Type'), $want, $shown);
    like($r->body, $want eq $html ? qr/^<!DOCTYPE html>.*0 per 2 minute/s
                 : $want eq $text ? qr/^429 Too Many Requests: 0 per 2 minute$/
                 : qr/"detail":"0 per 2 minute"/, "$shown: body");
}
{
    my $r = $s->fresh->get('/zero/page.html', Accept => 'text/html');
    like($r->body, qr/again in 120 seconds/, 'HTML says when to come back');
    like($r->body, qr{<title>429 Too Many Requests</title>}, 'and the status');
}
# Whatever a client sends, it gets an answer.
for my $accept ('a' x 8000, ',' x 8000, ';q=' x 2600, '/' x 8000,
                'text/html,' x 700, '"text/html', 'text/html;x="',
                'text/html;x="\\', ';', ',;,', 'q=1', 'text/html;q=1e9',
                'text/html;q=-1', 'text/html;q=99999999999999999999',
                "\xff\xfe\x80", "\t", '*', 'text', '*/html', 'text/html;;q') {
    my $r = $s->fresh->get('/zero/page.html', Accept => $accept);
    is($r->code, 429, 'hostile Accept: ' . substr($accept, 0, 20) =~ s/[^ -~]/?/gr);
    cmp_ok(length $r->body, '>', 20, 'with a body');
}

### HEAD
for my $accept ('*/*', 'text/html', 'text/plain') {
    my $c = $s->fresh;
    my $get = $c->get('/zero/page.html', Accept => $accept);
    my $head = $c->head('/zero/page.html', Accept => $accept);
    is($head->code, 429, "HEAD, $accept: refused");
    is($head->body, '', 'without a body');
    for (qw(Retry-After Cache-Control Content-Type Content-Length Vary)) {
        is($head->header($_), $get->header($_), "the same $_");
    }
    is($c->get('/zero/page.html')->code, 429, 'the connection is in step');
}

### What it says
{
    my $r = $s->fresh->get('/two');
    is_deeply(json($r), {
        type => $type, title => $title, status => 429,
        detail => '0 per 1 minute',
        'violated-policies' => ['burst', '0 per 1 day', 'all-of-it'],
    }, 'all limits without room, by name or canonical form');
    is($r->header('Retry-After'), 2 * 86400, 'the longest of their waits');

    my $message = q(Don't "shout", <script>alert('1')</script> & \ go);
    $r = $s->fresh->get('/message');
    is(json($r)->{detail}, $message, 'a message in JSON');
    unlike($r->body, qr/[<>&]/, 'that ends no script');
    $r = $s->fresh->get('/message', Accept => 'text/html');
    unlike($r->body, qr/<script|"shout"/, 'escaped in HTML');
    like($r->body, qr/&lt;script&gt;.*&amp; \\ go/, 'and whole');
    $r = $s->fresh->get('/message', Accept => 'text/plain');
    is($r->body, "429 Too Many Requests: $message\n", 'plain in text');

    $r = $s->fresh->get('/bytes');
    like(json($r)->{detail}, qr/^caf\x{e9} caf\x{fffd} \x{fffd}+ end$/,
         'bytes that are not UTF-8 leave the JSON valid');
    is($s->fresh->get('/bytes', Accept => 'text/html')->code, 429, 'HTML too');
}

### Statuses
for my $case ([400, 'Bad Request'], [420, undef], [503, 'Service Unavailable'],
              [599, undef]) {
    my ($code, $reason) = @$case;
    my $r = $s->fresh->get("/s$code");
    is($r->code, $code, "RateLimitStatus $code");
    is($r->reason, $reason, 'its words') if $reason;
    is($r->header('Retry-After'), 86400, 'Retry-After');
    is($r->header('Content-Type'), $problem, 'a body');
    is(json($r)->{status}, $code, 'with the status');
    $r = $s->fresh->get("/s$code", Accept => 'text/html');
    like($r->body, qr/<title>$code\b.*<h1>$code\b/s, 'in HTML too');
}
{
    my $r = $s->fresh->get('/s404');
    is($r->code, 404, 'RateLimitStatus 404');
    is($r->body, "our 404\n", 'takes its ErrorDocument');
    is($r->header('Retry-After'), 86400, 'and keeps Retry-After');
    $r = $s->fresh->get('/s503/document');
    is($r->code, 503, 'another status');
    is($r->body, 'later', 'another ErrorDocument');
    $r = $s->fresh->get('/s420/document');
    is($r->code, 420, 'a status without an ErrorDocument of its own');
    is($r->body, "our 500\n", 'takes that of 500, as httpd has it');
}

### ErrorDocument
{
    my $r = $s->fresh->get('/doc-text');
    is($r->code, 429, 'ErrorDocument as text');
    is($r->body, 'Too fast, my friend', 'comes first');
    is($r->header('Retry-After'), 86400, 'with Retry-After');
    is($r->header('Cache-Control'), 'no-store', 'and no-store');
    $r = $s->fresh->get('/doc-local');
    is($r->code, 429, 'ErrorDocument as local URL');
    is($r->body, "our 429\n", 'comes first');
    is($r->header('Retry-After'), 86400, 'with Retry-After');
    is($r->header('Cache-Control'), 'no-store', 'and no-store');
    $r = $s->fresh->get('/doc-cgi');
    is($r->code, 429, 'ErrorDocument as script');
    is($r->body, "our script, 429\n", 'comes first');
    my $c = $s->fresh;
    $r = $c->head('/doc-local');
    is($r->code, 429, 'HEAD of an ErrorDocument');
    is($c->post('/doc-local', 'a=b')->body, "our 429\n", 'POST');
    $r = $s->fresh->get('/doc-external');
    is($r->code, 302, 'ErrorDocument as external URL');
    is($r->header('Location'), 'http://localhost/elsewhere', 'leads there');
    $r = $s->fresh->get('/doc-default');
    is($r->header('Content-Type'), $problem, 'ErrorDocument default is ours');
}

### The connection stays
{
    my $c = $s->fresh;
    $c->get('/one/page.html');
    my $socket = $c->{socket};
    is($c->get('/one/page.html')->code, 429, 'refused');
    is($c->get('/off/really/page.html')->code, 200, 'and served');
    is($c->post('/one/page.html', 'x' x 300_000)->code, 429, 'POST refused');
    is($c->get('/off/really/page.html')->code, 200, 'and served');
    is($c->{socket}, $socket, 'all on one connection');

    # A body in chunks, and the next request right behind it
    my $host = 'Host: localhost';
    $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                    PeerPort => $s->port) or die $!;
    print $socket "POST /zero/page.html HTTP/1.1\r\n$host\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n"
        . "5\r\nhello\r\n0\r\n\r\n"
        . "GET /off/really/page.html HTTP/1.1\r\n$host\r\nConnection: close\r\n\r\n";
    is(join(' ', do { local $/; readline $socket } =~ m{^HTTP/1\.1 (\d+)}mg),
       '429 200', 'a body in chunks is passed over');

    $c = $s->fresh;
    my $r = $c->raw("POST /zero/page.html HTTP/1.1\r\nHost: localhost\r\n"
                    . "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
                    'POST');
    is($r->code, 429, 'a large body is refused before it is sent');
    is($r->header('Connection'), 'close', 'and not waited for');
}

### DryRun and Off
{
    my $c = $s->fresh;
    my $mark = $s->mark;
    is($c->codes(4, '/dry/page.html'), '4x200', 'DryRun never refuses');
    my @said = $s->error_log($mark) =~ /RLX0001: (.*)/g;
    is(scalar @said, 2, 'but says what it would refuse');
    like($said[0], qr/would be refused \(dry run\).*2 per 1 day/, 'and why');
    my $r = $c->get('/dry/page.html');
    is($r->header('X-RateLimit-Remaining'), 0, 'it counts');
    is($r->header('Retry-After'), undef, 'without Retry-After');
    is($s->fresh->get('/dry/page.html')->header('X-RateLimit-Remaining'), 1,
       'each client by itself');

    is($s->fresh->get('/off/page.html')->code, 429, 'a limited place');
    $r = $s->fresh->get('/off/really/page.html');
    is($r->code, 200, 'Engine Off within it');
    is($r->header('X-RateLimit-Limit'), undef, 'has no fields');
}

### The log. What a client sent is escaped twice: by the module, which leaves no
### quotes and no backslashes, and by httpd.
{
    my $c = $s->fresh;
    my $address = $c->address;
    my $mark = $s->mark;
    $c->get('/zero/page.html');
    my @lines = grep { /RLX0001/ } split /\n/, $s->error_log($mark);
    is(scalar @lines, 1, 'one line for a refusal');
    like($lines[0], qr/\[ratelimit_ext:info\]/, 'at info');
    like($lines[0], qr/RLX0001: refused: client \Q$address\E /,
         'the client, for fail2ban');
    like($lines[0], qr/ limit "0 per 2 minute" /, 'the limit');
    like($lines[0], qr/ key "\Q$address\E" /, 'the address as key');
    like($lines[0], qr{ scope "Location /zero"}, 'the scope');

    $mark = $s->mark;
    my $secret = 'sk-live-0123456789abcdef';
    $s->fresh->get('/key/page.html', 'X-Api-Key' => $secret) for 1 .. 2;
    $s->fresh->get('/key/page.html', 'X-Api-Key' => "$secret-");
    my $said = $s->error_log($mark);
    unlike($said, qr/\Q$secret\E/, 'an API key is not in the log');
    my @keys = $said =~ / key "(\S+)" /g;
    like($keys[0], qr/^#[0-9a-f]{16}$/, 'but a hash of it');
    is($keys[1], $keys[0], 'the same for the same key');
    isnt($keys[2], $keys[0], 'and another for another');

    $mark = $s->mark;
    my $r = $s->fresh->get('/user/page.html', Authorization =>
                           'Basic ' . encode_base64("$user:secret", ''));
    is($r->code, 429, 'a user is refused');
    ($said) = $s->error_log($mark) =~ /(RLX0001: .*)/;
    like($said, qr/ key "ja\\\\x22ne\\\\x1B\[31m" /, 'by name, escaped');

    $mark = $s->mark;
    $s->fresh->get('/endpoint/a%0a%5b2026%5d%20RLX0001:%20forged%22%1b');
    @lines = grep { /RLX0001/ } split /\n/, $s->error_log($mark);
    is(scalar @lines, 1, 'no line can be forged');
    like($lines[0], qr/limit "the-name" /, 'the name of the limit');
    unlike($lines[0], qr/[^ -~]/, 'all printable');
    like($lines[0], qr{ scope "/endpoint/a\\\\x0A\[2026\] RLX0001: forged\\\\x22\\\\x1B"},
         'escaped');

    $mark = $s->mark;
    is($s->fresh->get('/quiet/page.html')->code, 429, 'LogLevel notice');
    unlike($s->error_log($mark), qr/RLX0001/, 'says nothing');
}
done_testing;
