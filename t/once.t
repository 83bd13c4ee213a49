# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Each request of a client is counted once, whatever subrequests and internal
# redirects httpd needs to answer it; t/conf/once.conf.in has the places.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Http2;
use RateLimit::Suite;

my $s = RateLimit::Suite->new('once');

$s->write('plain.html', "plain\n");
$s->write('used.html', "used\n");
$s->write('errors/404.html', "this is our 404\n");
$s->write('dirindex/index.html', "the third name\n");
$s->write("list/file$_.txt", "$_\n") for 1 .. 20;
$s->write("multi/page.html.$_", "page in $_\n") for qw(en de);
$s->write("multi/limited.html.$_", "limited in $_\n") for qw(en de);
$s->write("$_/new.html", "new\n") for qw(server rewrite);
$s->write("$_/page.html", "page of $_\n")
    for qw(to tiny strict strict-cgi strict-lost refused denied login three
           streams too proxy);
$s->write_cgi('refused/page.cgi', <<'END');
printf 'Content-Type: text/plain\n\n%s %s\n' "$REDIRECT_STATUS" "$REDIRECT_URL"
END
$s->write('ssi/part.html', "[part]");
$s->write_cgi('ssi/script.cgi', 'printf "Content-Type: text/html\n\n[script]"');
$s->write('ssi/index.shtml', join "\n",
    '<!--#include file="part.html" -->', '<!--#include virtual="part.html" -->',
    '<!--#include virtual="script.cgi" -->', '<!--#fsize file="part.html" -->',
    '<!--#include virtual="/tiny/page.html" -->');
$s->write_cgi('redirect.cgi', 'printf "Location: /plain.html\n\n"');
$s->write_cgi('to.cgi', 'printf "Location: /to/page.html\n\n"');
$s->write_cgi('fail.cgi', 'exit 1');
$s->write_cgi('post.cgi', 'printf "Content-Type: text/plain\n\n"; cat');
$s->write("files/index.html", "index of files\n");
$s->write("index-$_/index.html", "index alone\n") for qw(only bare);
$s->write("added/index.html", "index\n");
$s->write("fallback/front.html", "front\n");
$s->write('action/page.shown', "shown\n");
$s->write_cgi('shown.cgi', 'printf "Content-Type: text/plain\n\nshows %s" "$PATH_INFO"');
$s->write('speling/rightly.html', "rightly\n");
$s->write('speling/Other.html', "other\n");
$s->write('map/page.var', join "\n", map {
    ("URI: page.html.$_", 'Content-Type: text/html', "Content-Language: $_", '') }
    qw(en de));
$s->write("map/page.html.$_", "mapped in $_\n") for qw(en de);
$s->write('asis/to.asis', "Status: 200\nLocation: /plain.html\n\n");
$s->write('limited-error/404.html', "this is a limited 404\n");
$s->write('gone/page.html', "page\n");
$s->write('users', 'jane:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' . "\n"); # secret

# How often the umbrella counted this client. Counts as one itself.
sub used {
    my ($c) = @_;
    my $r = $c->get('/used.html');
    $r->header('X-RateLimit-Limit') == 1000 or die "not the umbrella\n";
    return 999 - $r->header('X-RateLimit-Remaining');
}

sub left { $_[0]->header('X-RateLimit-Remaining') }

# A request by a new client; what it answers, and that it counts so often.
sub counts {
    my ($what, $n, $code, $like, $method, $path, $headers, $body) = @_;
    my $c = $s->fresh;
    my $r = $c->request($method, $path, $headers, $body);
    is($r->code, $code, "$what: status");
    like($r->body, $like, "$what: body") if $like;
    is(used($c), $n, "$what: counted $n times");
}

### One request, one count
counts('a plain file', 1, 200, qr/plain/, GET => '/plain.html');
counts('the third name of DirectoryIndex', 1, 200, qr/third/, GET => '/dirindex/');
counts('a list of 20 files', 1, 200, qr/file20/, GET => '/list/');
counts('MultiViews', 1, 200, qr/in de/, GET => '/multi/page',
       { 'Accept-Language' => 'de' });
counts('RewriteRule of a server', 1, 200, qr/new/, GET => '/server/old');
counts('RewriteRule with PT', 1, 200, qr/new/, GET => '/server/passed');
counts('RewriteRule of a directory', 1, 200, qr/new/, GET => '/rewrite/old');
counts('a chain of rewrites', 1, 200, qr/new/, GET => '/rewrite/chain1');
counts('ErrorDocument 404', 1, 404, qr/our 404/, GET => '/nowhere');
counts('a failing script', 1, 500, qr/./, GET => '/fail.cgi');
counts('a script that redirects to a file', 1, 200, qr/plain/, GET => '/redirect.cgi');
counts('SSI', 1, 200, qr/\[part\]\s+\[part\]\s+\[script\]\s+\S+\s+page of tiny/,
       GET => '/ssi/index.shtml');
counts('a missing slash', 1, 301, qr/./, GET => '/dirindex');
counts('HEAD', 1, 200, undef, HEAD => '/plain.html');
counts('OPTIONS', 1, 200, undef, OPTIONS => '/plain.html');
counts('OPTIONS of the server', 0, 200, undef, OPTIONS => '*');
counts('FallbackResource', 1, 200, qr/front/, GET => '/fallback/some/where');
counts('Action', 1, 200, qr{^shows /action/page.shown$}, GET => '/action/page.shown');
counts('Action of what is not there', 1, 200, qr{^shows /virtual/page$},
       GET => '/virtual/page');
counts('mod_speling', 1, 301, qr/rightly/, GET => '/speling/rihgtly.html');
counts('mod_speling, case', 1, 301, qr/Other/, GET => '/speling/other.html');
counts('mod_speling, nothing like it', 1, 404, qr/our 404/, GET => '/speling/zzz');
counts('a type map', 1, 200, qr/mapped in de/, GET => '/map/page.var',
       { 'Accept-Language' => 'de' });
counts('a type map as index', 1, 200, qr/mapped in en/, GET => '/map/',
       { 'Accept-Language' => 'en' });
counts('a file as it is that redirects', 1, 200, qr/plain/, GET => '/asis/to.asis');
counts('RewriteRule R=404', 1, 404, qr/a limited 404/, GET => '/gone/404');
counts('a chain of error documents', 1, 404, qr/a limited 404/, GET => '/gone/403');
counts('POST', 1, 200, qr/^a=b$/, POST => '/post.cgi', {}, 'a=b');
counts('a part of a file', 1, 206, qr/^pl$/, GET => '/plain.html',
       { Range => 'bytes=0-1' });
counts('a proxied request', 1, 200, qr/plain/, GET => '/proxied/plain.html');
counts('a request proxied by RewriteRule', 1, 200, qr/page of too/,
       GET => '/proxy/too/page.html');
counts('a login', 1, 200, qr/page of login/, GET => '/login/page.html',
       { Authorization => 'Basic amFuZTpzZWNyZXQ=' });

{
    my $c = $s->fresh;
    my $r = $c->get('/plain.html');
    is($c->get('/plain.html', 'If-None-Match' => $r->header('ETag'))->code, 304,
       'not modified');
    is(used($c), 2, 'not modified: counted as well');

    $c = $s->fresh;
    is($c->get('/dirindex')->code, 301, 'to the slash');
    is($c->get('/dirindex/')->code, 200, 'and beyond');
    is(used($c), 2, 'a redirect that the client follows is two requests');
}

### What is refused before fixups is not counted
counts('403 by Require', 0, 403, qr/./, GET => '/denied/page.html');
counts('401', 0, 401, qr/./, GET => '/login/page.html');
counts('a wrong password', 0, 401, qr/./, GET => '/login/page.html',
       { Authorization => 'Basic amFuZTp3cm9uZw==' });
counts('a request that is none', 0, 400, qr/./, GET => '/%zz');

### Limits of the places that a request comes through
{
    my $c = $s->fresh;
    my $r = $c->get('/files/');
    like($r->body, qr/index of files/, 'DirectoryIndex to a file with a limit');
    is(used($c), 1, 'is one request');
    $r = $c->get('/files/index.html');
    is($r->header('X-RateLimit-Limit'), 5, 'the limit of the file');
    is(left($r), 3, 'was charged by DirectoryIndex');
    is($c->codes(4, '/files/'), '3x200 1x429', 'and refuses there');
    $c->request(GET => '/files/nothing.html');
    $r = $c->get('/files/nothing.html');
    is($r->header('X-RateLimit-Limit'), 50, 'the limit of the directory');
    # /files/ four times (the fifth, which its index refused, got its charge
    # back), two for nothing.html
    is(left($r), 50 - 4 - 2, 'was charged once by each that passed');
}
for my $place ('/index-only/', '/index-bare/') {
    my $c = $s->fresh;
    my $r = $c->get($place);
    is($r->header('X-RateLimit-Limit'), 2,
       "$place: a limit met only by DirectoryIndex is in the response");
    is(left($r), 1, 'as charged');
    is($c->codes(2, $place), '1x200 1x429', 'and refuses');
    is($c->get($place)->header('X-RateLimit-Limit'), 2, 'in the refusal too');
}
{
    # Limits that come down to the file are counted for it, beside the directory
    my $c = $s->fresh;
    is($c->get('/added/')->code, 200, 'a file that adds a limit');
    is(left($c->get('/added/nothing.html')), 48, 'the directory counts once');
    my $r = $c->get('/added/index.html');
    is($r->header('X-RateLimit-Limit'), 50, 'the file inherits its limit');
    is(left($r), 48, 'and counts once');
    is($c->codes(4, '/added/'), '3x200 1x429', 'as it does its own');
}
{
    my $c = $s->fresh;
    is($c->codes(6, '/fallback/a'), '5x200 1x429', 'FallbackResource to a limit');
}
{
    my $c = $s->fresh;
    my %en = ('Accept-Language' => 'en');
    my $r = $c->get('/multi/limited', %en);
    is($r->header('X-RateLimit-Limit'), 3, 'the limit of a variant');
    is(left($r), 2, 'charged by MultiViews');
    is(left($c->get('/multi/limited.html.en')), 1, 'and directly');
    is($c->codes(2, '/multi/limited', %en), '1x200 1x429', 'refuses there');
    is($c->get('/multi/limited', 'Accept-Language' => 'de')->code, 200,
       'the other variant has none');
}
{
    my $c = $s->fresh;
    like($c->get('/rewrite/to')->body, qr/page of to/, 'rewritten to a limit');
    my $r = $c->get('/to/page.html');
    is($r->header('X-RateLimit-Limit'), 30, 'the limit of the new place');
    is(left($r), 28, 'was charged once');
    $r = $c->get('/rewrite/to');
    is($r->header('X-RateLimit-Limit'), 20, 'the limit of the old one');
    is(left($r), 18, 'once too');
    is(used($c), 3, 'and the umbrella once for each request');
}
{
    my $c = $s->fresh;
    like($c->get('/to.cgi')->body, qr/page of to/, 'a script redirects to a limit');
    is(left($c->get('/to/page.html')), 28, 'which was charged once');
}
{
    my $c = $s->fresh;
    $c->get('/action/page.shown');
    my $r = $c->get('/shown.cgi');
    is($r->header('X-RateLimit-Limit'), 90, 'Action leads to a limit');
    is(left($r), 88, 'which was charged once');
    is(used($c), 2, 'and the umbrella once for each request');
}
{
    # The page for what is not there has a limit: whoever looks for it again
    # and again is still told that it is not there, and not with that page.
    my $c = $s->fresh;
    like($c->get('/gone/404')->body, qr/a limited 404/, 'an error page') for 1, 2;
    my $r = $c->get('/gone/404');
    is($r->code, 404, 'with a limit: the status stays');
    unlike($r->body, qr/a limited 404/, 'the page is refused');
    is($c->get('/limited-error/404.html')->code, 429, 'by itself too');
}
{
    my $c = $s->fresh;
    is($c->get('/tiny/page.html')->code, 200, 'a limit of one is used up');
    is($c->get('/rewrite/tiny')->code, 429, 'a rewrite does not lead around it');
    like($c->get('/ssi/index.shtml')->body, qr/page of tiny/,
         'a subrequest is not refused');
    is(left($c->get('/ssi/index.shtml')), 38, 'its page is charged once');
}

### The error document of a refusal is never refused, nor charged
{
    my $c = $s->fresh;
    is($c->codes(2, '/refused/page.html'), '1x200 1x429',
       'the place of the error document has no room');
    is($c->get('/strict/page.html')->code, 200, 'the limited place has');
    for (1 .. 2) {
        my $r = $c->get('/strict/page.html');
        is($r->code, 429, 'refused');
        like($r->body, qr/^page of refused/, 'with the error document');
    }
    $c = $s->fresh;
    is($c->codes(5, '/strict/page.html'), '1x200 4x429', 'refused again');
    is($c->get('/refused/page.html')->code, 200,
       'its error document was not charged');
    is(used($c), 2, 'nor the umbrella for what was refused');

    $c = $s->fresh;
    $c->get('/strict-cgi/page.html');
    my $r = $c->get('/strict-cgi/page.html');
    is($r->code, 429, 'refused with a script');
    is($r->body, "429 /strict-cgi/page.html\n", 'that knows what for');
    $c->get('/strict-lost/page.html');
    $r = $c->get('/strict-lost/page.html');
    is($r->code, 429, 'the status stands where the error document is missing');
    ok($r->header('Retry-After'), 'and the field');
}

### The method is the client's, though httpd asks for error documents by GET
{
    my $m = RateLimit::Suite->new('once_method');
    for my $method (qw(POST HEAD)) {
        my $c = $m->fresh;
        is($c->request($method, '/nothing')->code, 404, "$method of nothing");
        is(left($c->get('/used.html')), 999, 'is not counted as GET');
        is($c->request($method, '/nothing')->header('X-RateLimit-Remaining'),
           998, "but as $method") if $method ne 'HEAD';
    }
    my $c = $m->fresh;
    is($c->post('/nothing', 'a=b')->code, 404, 'POST of nothing') for 1 .. 3;
    is($c->codes(3, '/nothing'), '2x404 1x429', 'a limit on GET is not touched');
}

### Connections
{
    my $c = $s->fresh;
    is($c->codes(5, '/three/page.html'), '3x200 2x429', 'keepalive');
    is(used($c), 3, 'each request by itself');

    $c = $s->fresh;
    my $one = $c->request_bytes('GET', '/three/page.html');
    my $last = $c->request_bytes('GET', '/three/page.html',
                                 { Connection => 'close' });
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $s->port) or die $!;
    print $socket $one x 4, $last;
    my $all = do { local $/; readline $socket };
    is(join(' ', $all =~ m{^HTTP/1\.1 (\d+)}mg), '200 200 200 429 429',
       'pipelined requests, in order');
}

# mod_http2 is not for prefork.
if (($ENV{MPM} || 'event') ne 'prefork') {
    # All on one connection, at once
    my $address = $s->address;
    my @codes = sort { $a <=> $b } RateLimit::Http2::streams(
        $s->port, 10, '/streams/page.html', 'x-forwarded-for' => $address);
    is("@codes", join(' ', (200) x 5, (429) x 5),
       'HTTP/2: of ten streams, five pass');
    is(used($s->fresh), 0, 'another client has used nothing');
}

### Sections of a proxy
{
    my $c = $s->fresh;
    my $r = $c->get('/proxied/plain.html');
    is($r->header('X-RateLimit-Limit'), 60, '<Location> around a proxy');
    is(left($r), 59, 'charged once');
    $r = $c->get('/proxied-too/too/page.html');
    like($r->body, qr/page of too/, 'by ProxyPass');
    is($r->header('X-RateLimit-Limit'), 70, '<Proxy>');
    is(left($r), 69, 'charged once');
    $r = $c->get('/proxy/too/page.html');
    is(used($c), 3, 'three in all');
}
done_testing;
