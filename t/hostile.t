# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 12
# mpm: any
#
# What a client sends ends in keys, scopes, endpoints, costs, limits, messages,
# variables and logs. Whatever bytes it holds, however long it is: each counts
# by itself, and no field, page, log line or other client comes to harm.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Encode ();
use JSON::PP ();
use Time::HiRes ();
use RateLimit::Httpd;
use RateLimit::Http2;

my %script = (
    'env/x.cgi' => "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
        . "printf '%s|%s' \"\$RATELIMIT_KEY\" \"\$RATELIMIT_SCOPE\"\n",
);
my $h = RateLimit::Httpd->start(
    modules => [qw(cgid include http2)], children => 1,
    files => {
        %script,
        'slow.shtml' => qq(<p title="<!--#echo var="REDIRECT_RATELIMIT_KEY" -->">)
            . qq(<!--#echo var="REDIRECT_RATELIMIT_SCOPE" --></p>\n),
        (map { ("$_/x" => "x\n") } qw(key setting cookie shared scope endpoint
            dynamic cost shown shown/plain shown/hash)),
    },
    conf => <<'END');
# What is sent is not to be stopped by httpd: control bytes come through.
HttpProtocolOptions Unsafe LenientMethods
Protocols h2c http/1.1
LimitRequestFields 200
LimitRequestFieldSize 1000000
AliasMatch "^/uri" "@DOCROOT@/key/x"
# Files are not sent by methods that nobody knows, but a script is run.
AliasMatch "^/method" "@DOCROOT@/env/x.cgi"
RateLimitHeaders On
Header always set X-Key "%{RATELIMIT_KEY}e"
Header always set X-Scope "%{RATELIMIT_SCOPE}e"
LogFormat "%a|%>s|%{RATELIMIT_KEY}e|%{RATELIMIT_SCOPE}e|end" shown
CustomLog "@DIR@/shown_log" shown
<Directory "@DOCROOT@">
    Options +ExecCGI +Includes
</Directory>
AddHandler cgi-script .cgi
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml

# Where it counts
<Location "/key">
    RateLimit "2 per day" key=%{req:X-It}
</Location>
<Location "/setting">
    RateLimit "2 per day"
    RateLimitKey %{QUERY_STRING}
</Location>
<Location "/cookie">
    RateLimit "2 per day" key=%{HTTP_COOKIE}
</Location>
<Location "/shared">
    RateLimitShared "2 per day" scope=%{req:X-It} key=k
</Location>
<Location "/scope">
    RateLimit "2 per day" scope=%{req:X-It} key=k
</Location>
<Location "/endpoint">
    RateLimit "2 per day" key=k
    RateLimitEndpoint %{req:X-It}
</Location>
<Location "/method">
    RateLimit "2 per day" key=k per_method=on
</Location>
<Location "/uri">
    RateLimit "2 per day" key=%{REQUEST_URI}
</Location>

# What it says
<Location "/message">
    RateLimit "0 per day" error_message="%{req:X-It}"
</Location>
<Location "/unescaped">
    RateLimit "0 per day" error_message="<%{unescape:%{QUERY_STRING}}>"
</Location>
<Location "/document">
    RateLimit "0 per day" key=%{req:X-It}
    RateLimitEndpoint %{req:X-It}
    RateLimitKeyDisplay plain
    ErrorDocument 429 /slow.shtml
</Location>
<Location "/env">
    RateLimit "100000 per day" key=%{req:X-It}
    RateLimitEndpoint %{req:X-It}
    RateLimitKeyDisplay plain
</Location>

# How it is shown
<Location "/shown">
    RateLimit "0 per day" key=%{req:X-It}
    RateLimitEndpoint %{req:X-It}
</Location>
<Location "/shown/plain">
    RateLimitKeyDisplay plain
</Location>
<Location "/shown/hash">
    RateLimitKeyDisplay hash
</Location>

# What it takes
<Location "/cost">
    RateLimit "1000000000 per day" cost=%{req:X-It} key=k
</Location>
<Location "/dynamic">
    RateLimit "%{req:X-It}" key=k
    RateLimitHeaders x-ratelimit ietf
</Location>
END
chmod 0755, glob $h->docroot . '/*/*.cgi';
my $c = $h->client;
my ($sent, $refused) = (0, 0);

# A request, and that its response is sound: a head of whole fields, none twice,
# none that a client made up, nothing in them but what may be.
my %known = map { $_ => 1 } qw(accept-ranges cache-control connection
    content-length content-type date etag keep-alive last-modified
    ratelimit ratelimit-policy retry-after server transfer-encoding vary
    x-key x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-scope
    upgrade);
my @unsound;
sub ask {
    my ($method, $path, $headers) = @_;
    my $r = $c->request($method, $path, $headers);
    $sent++;
    $refused++ if $r->code == 429;
    my ($line, @fields) = split /\r\n/, $r->head_text, -1;
    my %seen;
    for (@fields) {
        my ($name) = /^([A-Za-z-]+): ?[\t\x20-\x7e\x80-\xff]*$/;
        push @unsound, $_ if !$name || !$known{lc $name} || $seen{lc $name}++;
    }
    push @unsound, $line if $line !~ m{^HTTP/1\.1 (200 OK|429 Too Many Requests)$};
    return $r;
}
sub get { my ($path, %headers) = @_; return ask(GET => $path, \%headers) }
sub shown { return $_[0] =~ s/[^ -~]/sprintf '\\x%02x', ord $&/ger =~ s/^(.{50}).*/$1.../sr }

### No two meet, and each is met again

my $long = 'k' x 7000;
my @texts = (
    'a', 'A', 'aa', 'a a', 'a  a', "a\ta", 'a%00', 'a%00b', 'a%00c', '%00',
    '%00%00', '%2500', '\\0', '\\x00', 'a\\', 'a\\\\', 'a\\"', '"', '""', "'",
    '{', '}', '{}', '{{}}', '%{REMOTE_ADDR}', '%{req:X-It}', '%{', '$(id)',
    '${x}', '`id`', '$0', '$1', '&0', '%', '%%', '%s%n%d', '%25', '%1', ':',
    '::', 'a:', ':a', 'a:b', 'a%3Ab', 'a%3ab', '#0123456789abcdef', '</script>',
    '<script>alert(1)</script>', '<!--#exec cmd="id" -->', '--', '0', '-1',
    '1 per 1 day', 'Location /key', '127.0.0.1', '::1', '../../etc/passwd',
    "' OR 1=1 --", "\xc3\xa9", "\xe9", "e\xcc\x81", "\xc0\x80", "\xc0\xaf",
    "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xed\xa0\x80\xed\xb0\x80",
    "\xf4\x90\x80\x80", "\xef\xbf\xbd", "\xef\xbb\xbf", "\xff", "\xfe\xff", "\x80",
    "\xc3", "\xe2\x80\xae", "\xe2\x80\xa8", "\xc2\x85", "\xc2\x9b31m",
    "\e[31m", "\e]0;x\a", "a\x01", "a\x7f", "\x0b", "a\x0c", "a\x08",
    $long, "${long}k", "${long}K", "${long}\xff", substr($long, 1) . 'l',
    substr($long, 1) . 'm', "l$long", substr($long, 0, 3500) . 'l' . $long x 0.5,
    map({ chr($_) . 'x' } 1 .. 8, 11, 12, 14 .. 31, 33 .. 255),
);
# What a field may hold: no line ends; and httpd takes blanks off its ends.
my %is_text = map { $_ => 1 } grep { !/[\r\n\0]/ && !/^\s|\s$/ } @texts;
@texts = sort keys %is_text;

# Each of them once, then each of them again, and a third time: what is left
# is 1, 0, and a refusal, for all of them.
sub apart {
    my ($what, $texts, $ask) = @_;
    my @wrong;
    for my $want ('200 1', '200 0', '429 0') {
        for my $text (@$texts) {
            my $r = $ask->($text);
            my $got = $r->code . ' ' . ($r->header('X-RateLimit-Remaining') // '-');
            push @wrong, shown($text) . ": $got, not $want" if $got ne $want;
        }
    }
    is(scalar @wrong, 0, "$what: none of " . @$texts . ' meets another, each itself')
        or diag join "\n", @wrong[0 .. ($#wrong < 5 ? $#wrong : 5)];
}
apart($_, \@texts, do { my $path = "/$_/x"; sub { get($path, 'X-It' => $_[0]) } })
    for qw(key shared scope endpoint);
apart('cookie', \@texts, sub { get('/cookie/x', Cookie => $_[0]) });
apart('query', [grep { !/[\x00-\x20\x7f#]/ } @texts],
      sub { get("/setting/x?$_[0]") });
# httpd takes the escapes off a path, joins slashes and drops dots.
apart('path', [map { chr } 1 .. 34, 36 .. 45, 48 .. 255],
      sub { get('/uri/' . $_[0] =~ s/./sprintf '%%%02X', ord $&/gesr . 'x') });
apart('long path', [map { "/uri/$_" } 'a' x 7000, 'a' x 7001, 'a' x 6999 . 'b',
                    'a' x 6999 . 'B', 'b' . 'a' x 6999],
      sub { get($_[0]) });
my @methods = ('GET', 'get', 'Get', 'POST', 'X' x 7000, 'X' x 7001,
               'X' x 6999 . 'Y', 'x' x 7000, "!#\$%&'*+-.^_`|~", 'A' .. 'F',
               'OPTIONSX', 'HEADX', 'per_method');
apart('method', \@methods, sub { ask($_[0] => '/method/x', {}) });

is_deeply(\@unsound, [], 'every response is sound') or splice @unsound;

### What a message says: the same to a parser of each form

# RFC 3629, as its grammar has it; all else is U+FFFD, byte by byte, and so are
# control characters.
my $utf8 = qr/[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]
    |[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]
    |\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}
    |\xf4[\x80-\x8f][\x80-\xbf]{2}/x;
sub meaning {
    my ($bytes) = @_;
    return $bytes =~ s/($utf8)|([\x80-\xff])/
        defined $1 ? Encode::decode('UTF-8', my $copy = $1) : "\x{fffd}"/gerx;
}
sub printed { return $_[0] =~ s/[\x00-\x08\x0b-\x1f\x7f-\x9f]/\x{fffd}/gr }
sub strict { return eval { Encode::decode('UTF-8', my $copy = $_[0], 1) } }
my %entity = (lt => '<', gt => '>', amp => '&', quot => '"');

sub says {
    my ($what, $path, $message, %headers) = @_;
    my $text = meaning($message);
    my @wrong;
    for my $type ('application/problem+json', 'application/json') {
        my $r = get($path, %headers, Accept => $type);
        my $json = eval { JSON::PP->new->utf8->decode($r->body) };
        push @wrong, "$type: $@" . $r->body
            if !$json || $json->{detail} ne $text || keys %$json != 5
               || $r->body =~ m{[<>&\x00-\x09\x0b-\x1f\x7f]} || !defined strict($r->body);
    }
    my $r = get($path, %headers, Accept => 'text/plain');
    my $body = strict($r->body);
    push @wrong, 'text: ' . $r->body
        if ($body // '') ne "429 Too Many Requests: " . printed($text) . "\n";
    $r = get($path, %headers, Accept => 'text/html');
    $body = strict($r->body) // '';
    my ($p) = $body =~ m{<h1>429 Too Many Requests</h1>\n<p>([^<>"]*)</p>\n<p>Please};
    $p = defined $p ? $p =~ s/&(\w+);/$entity{$1}/gr : '-';
    push @wrong, 'html: ' . $r->body if $p ne printed($text);
    return @wrong;
}
my @wrong = map { says(shown($_), '/message/x', $_, 'X-It' => $_) } @texts;
is(scalar @wrong, 0, 'a message says the same in each form, valid and escaped')
    or diag shown($wrong[0] =~ s/\n/ /gr);
# All bytes, also line ends; httpd's unescape does not take %2F.
@wrong = map {
    my $byte = chr;
    says(shown($byte), sprintf('/unescaped/x?%%%02x', ord $byte), "<$byte>");
} 1 .. 46, 48 .. 255;
is(scalar @wrong, 0, 'every byte') or diag shown($wrong[0]);
@wrong = says('long', '/message/x', "\xff" x 7000, 'X-It' => "\xff" x 7000);
is(scalar @wrong, 0, '7000 bytes that are no UTF-8');
is_deeply(\@unsound, [], 'every response is sound') or splice @unsound;

### Documents and scripts of the administrator

@wrong = ();
for my $text (grep { length } @texts) {
    my $r = get('/document/x', 'X-It' => $text);
    # mod_include escapes; what is in the variable has no control characters
    my ($key, $scope) = $r->body =~ m{^<p title="([^"<>]*)">([^<>]*)</p>$};
    push @wrong, $text
        if $r->code != 429 || !defined $key || $r->body =~ /[\x00-\x09\x0b-\x1f\x7f]/
           || $key ne $scope;
}
is(scalar @wrong, 0, 'an SSI error document') or diag shown($wrong[0]);
@wrong = ();
for my $text (@texts) {
    my $want = $text =~ s/[\x00-\x1f\x7f]/sprintf '\\x%02X', ord $&/ger;
    my $r = get('/env/x.cgi', 'X-It' => $text);
    push @wrong, $text if $r->body ne "$want|$want";
    push @wrong, $text if $r->header('X-Key') ne $want
                          || $r->header('X-Scope') ne $want;
}
is(scalar @wrong, 0, 'a script, and fields of mod_headers') or diag shown($wrong[0]);
is_deeply(\@unsound, [], 'every response is sound') or splice @unsound;

### Logs: one line for each refusal, which names its client and no other

# As fail2ban uses it; it takes the time off the line first.
my $failregex = do {
    open my $fh, '<', "$FindBin::Bin/../docs/directives.md" or die $!;
    local $/;
    my ($text) = readline($fh) =~ /^failregex = (.*)$/m or die 'no failregex';
    $text =~ s/<HOST>/(?<host>[0-9a-f.:]+)/;
    qr/$text/;
};
my $forged = '[ratelimit_ext:info] [pid 1:tid 1] [client 6.6.6.6:1] '
           . 'RLX0001: refused: client 6.6.6.6 limit "1 per 1 day"';
my @forgeries = (
    $forged, "\x0b$forged", "\x0c$forged", "\e[2K\e[1G$forged", "\b" x 200 . $forged,
    "\" scope \"x\"$forged", "x\\\" $forged", '%0a' . $forged, "\\n$forged",
    "\xe2\x80\xa8$forged", 'x' x 193 . "\\$forged", 'x' x 199 . "\xff$forged",
    '[Wed Nov 25 00:00:00.000000 2026] ' . $forged,
);
@forgeries = grep { !/^\s/ } @forgeries;
for my $place (qw(shown shown/plain shown/hash)) {
    my $mark = $h->mark;
    my $n = 0;
    my @want;
    for my $text (@texts, @forgeries) {
        my $address = '203.0.113.' . (1 + $n++ % 250);
        push @want, $address;
        get("/$place/x", 'X-Forwarded-For' => $address, 'X-It' => $text,
            Referer => $text, 'User-Agent' => $text);
    }
    my @lines = split /\n/, $h->error_log($mark);
    my @refusals = grep { /RLX0001/ && !/^\S+ \S+ \S+ \S+ \S+ \[(?!ratelimit_ext)/ } @lines;
    is(scalar @refusals, scalar @want, "$place: one line for each refusal");
    my @banned = map {
        s/^\[[A-Z][^\]]*\] //r =~ $failregex ? $+{host} : ();
    } @lines;
    is_deeply(\@banned, \@want, "$place: the refused are banned, in order, and nobody else");
    is(scalar(grep { /[^\x20-\x7e]/ } @lines), 0, "$place: all printable");
    my $quoted = qr/"(?:[^"\\]|\\.)*"/;
    is(scalar(grep { !/ limit $quoted key $quoted scope $quoted(?:, referer: .*)?$/ }
              @refusals), 0, "$place: all of it stands in quotes that end");
}
# A claimed address that is none is not believed.
{
    my $mark = $h->mark;
    get('/shown/x', 'X-It' => 'a', 'X-Forwarded-For' => $_)
        for @forgeries, '6.6.6.6, <script>', '6.6.6.6 limit', 'a' x 7000, "\xff";
    my @banned = map { s/^\[[A-Z][^\]]*\] //r =~ $failregex ? $+{host} : () }
        split /\n/, $h->error_log($mark);
    is_deeply([grep { $_ ne '127.0.0.1' } @banned], [], 'X-Forwarded-For');
    cmp_ok(scalar @banned, '>', 10, 'was logged');
}
is_deeply(\@unsound, [], 'every response is sound') or splice @unsound;

### Secrets

{
    my $secret = 'sk-live-' . 'f' x 40;
    my $mark = $h->mark;
    for my $place (qw(key cookie)) {
        my $r = get("/$place/x", 'X-It' => "$secret$place", Cookie => "$secret$place");
        like($r->header('X-Key'), qr/^#[0-9a-f]{16}$/, "$place: shown hashed");
        unlike($r->head_text . $r->body, qr/sk-live/, 'and nowhere else');
    }
    unlike($h->error_log($mark), qr/sk-live/, 'nor in the log');
}

### Costs and limits

{
    my $left = sub { get('/cost/x', @_)->header('X-RateLimit-Remaining') };
    my $before = $left->('X-It' => '1');
    is($left->('X-It' => '7'), $before - 7, 'a cost');
    my @bad = ('9' x 7000, '2147483648', '-1', '+1', '1.0', '1e3', '0x10', '1 ',
               '99999999999999999999', 'a', "1\t2", '%31', "\xd9\xa1", "1\x081", '');
    my $mark = $h->mark;
    $left->('X-It' => $_) for @bad;
    is($left->('X-It' => '0'), $before - 7 - @bad - 1 + 1,
       'costs that are none count 1 each');
    my @said = $h->error_log($mark) =~ /RLX0032/g;
    is(scalar @said, 1, 'which is said once');
    is(get('/cost/x', 'X-It' => '2147483647')->code, 429, 'one that is too high');
    is($left->('X-It' => '0'), $before - 7 - @bad, 'takes nothing');
}
{
    my $mark = $h->mark;
    my %code;
    my $start = Time::HiRes::time();
    my @bad = (grep({ !/^1 per 1 day$/ } @texts), '1/day,' x 1300, ',' x 7000,
               '1/day;' . '9' x 7000 . '/day', ' ' x 3000 . 'x', '1' . ' ' x 7000 . 'd',
               '1/' . '9' x 7000 . ' days', 'per ' x 1700, '1 per 1 day' . "\x01");
    $code{ get('/dynamic/x', 'X-It' => $_)->code }++ for @bad;
    is_deeply(\%code, { 200 => scalar @bad }, 'what is no limit limits nothing');
    my @said = $h->error_log($mark) =~ /RLX0030/g;
    cmp_ok(scalar @said, '<=', scalar @bad, 'and is said once');
    get('/dynamic/x', 'X-It' => $_) for @bad;
    my @again = $h->error_log($mark) =~ /RLX0030/g;
    is(scalar @again, scalar @said, 'but not again');
    get('/dynamic/x', 'X-It' => "no limit $_") for 1 .. 1500;
    @again = $h->error_log($mark) =~ /RLX0030/g;
    cmp_ok(scalar @again, '<', 1000, 'nor for ever, by who makes them up');
    my $r = get('/dynamic/x', 'X-It' => join ',', map { "5/$_ days" } 1 .. 8);
    is(scalar(() = $r->header('RateLimit-Policy') =~ /"5 per \d day";q=5;w=\d+/g), 8,
       'many at once');
    $r = get('/dynamic/x', 'X-It' => '2147483647 per 100 years');
    like($r->header('RateLimit-Policy'), qr/q=2147483647;w=3110400000/, 'a large one');
    cmp_ok(Time::HiRes::time() - $start, '<', 20, 'in good time');
}
is_deeply(\@unsound, [], 'every response is sound') or splice @unsound;

### Accept

{
    my @accepts = (
        [plain => [('image/png;x="a,b;q=1";q=0.1, ' x 200) x 100]],
        [html => [('image/png,' x 700) x 100, 'text/html']],
        [plain => [(';' x 8000) x 100]],
        [plain => [('"' x 8001) x 99]],
        [plain => [('text/html;q=0,' x 500) x 100]],
        [plain => ['text/html;x=";q=1";q=0, text/plain']],
        [html => ['text/plain;x=";q=1";q=0.1, text/html;q=0.2']],
        [html => ['text/plain;x="\\";q=1";q=0.1, text/html;q=0.2']],
        [plain => ["\xff\xfe" x 4000]],
    );
    for (@accepts) {
        my ($want, $fields) = @$_;
        my $start = Time::HiRes::time();
        my $r = get('/message/x', 'X-It' => 'm', Accept => $fields);
        like($r->header('Content-Type'), qr{^text/$want;},
             'Accept: ' . @$fields . ' fields of ' . shown($fields->[0]));
        cmp_ok(Time::HiRes::time() - $start, '<', 1, 'in good time');
    }
}

### HTTP/2 takes longer fields, and has checks of its own

if ($h->mpm ne 'prefork') {
    for my $text ($long, "\xff\xfe", 'a"b') {
        my @codes = RateLimit::Http2::streams($h->port, 4, '/key/x',
                                              'x-it' => "h2$text");
        is(join(' ', sort @codes), '200 200 429 429', 'HTTP/2: ' . shown($text));
        $sent += 4;
        $refused += 2;
        is(get('/key/x', 'X-It' => "h2$text")->code, 429, 'the same as by HTTP/1.1');
    }
}

### The access log: as many lines as requests, each whole

$c->close;
$h->stop;
open my $log, '<', $h->dir . '/shown_log' or die $!;
my @lines = readline $log;
is(scalar @lines, $sent, 'a line for each request');
is(scalar(grep { !/^[0-9a-f.:]+\|\d{3}\|[\x20-\x7e]*\|[\x20-\x7e]*\|end\n$/ } @lines), 0,
   'each of them whole and printable');
is(scalar(grep { /^[^|]*\|429\|/ } @lines), $refused, 'with the right statuses');
done_testing;
