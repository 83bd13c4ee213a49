# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 60
# mpm: any
# sanitized: no
#
# The page of limiter-status in a browser: nothing in its console, readable on
# screens of any width, light and dark, unfolded by mouse and by keyboard, with
# scripts and without; what a client sent is shown and never run. Pictures of
# it are left in build/screenshots.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Encode qw(encode_utf8);
use RateLimit::Browser;
use RateLimit::Httpd;
use RateLimit::Place ();
use RateLimit::Xml qw(xml_error);

my $status = <<'END';
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
</Location>
END
my $b = RateLimit::Browser->start;
my %html = (Accept => 'text/html');

# A page that has all that a page must have, whatever is in it.
sub page_is_good {
    my ($h, $path, $name) = @_;
    my $r = $h->client->get($path, %html);
    is($r->code, 200, "$name: it is there");
    is(xml_error($r->body), '', "$name: it is well-formed");
    unlike($r->body, qr{https?://(?!www\.w3\.org/)}, "$name: nothing from elsewhere");
    unlike($r->body, qr/\sstyle="|\son\w+="/, "$name: nothing that its policy forbids");
    my %ids;
    $ids{$_}++ for $r->body =~ /\sid="([^"]+)"/g;
    is_deeply([grep { $ids{$_} > 1 } sort keys %ids], [], "$name: no id twice");
    is_deeply([grep { !$ids{$_} } $r->body =~ /href="#([^"]+)"/g,
               $r->body =~ /aria-labelledby="([^"]+)"/g, $r->body =~ /\sfor="([^"]+)"/g],
              [], "$name: no link or label to nothing");
    return $r;
}

# The same in the browser, on screens of every kind.
sub looks_good {
    my ($h, $path, $name, %picture) = @_;
    $b->console;
    for my $screen ([ 1280, 900, 0, 'light' ], [ 1280, 900, 1, 'dark' ],
                    [ 360, 740, 0, 'phone' ]) {
        my ($width, $height, $dark, $kind) = @$screen;
        $b->run('sessionStorage.clear()') if $kind ne 'light';
        $b->screen($width, $height);
        $b->dark($dark);
        $b->open($h->url($path));
        is_deeply([ $b->console ], [], "$name, $kind: the console is empty");
        cmp_ok($b->picture("$name-$kind", %picture), '>', 10_000, "$name, $kind: a picture");
        is(unfolded_width(), $width, "$name, $kind: nothing sticks out");
        is_deeply(pale(), [], "$name, $kind: every text stands out")
            if $kind ne 'phone';
    }
    $b->run('sessionStorage.clear()');
    $b->screen(1280, 900);
    $b->dark(0);
    return;
}

# The width of the page with everything unfolded.
sub unfolded_width {
    return $b->run(<<'END');
document.querySelectorAll('details').forEach(function (d) { d.open = true });
return document.documentElement.scrollWidth;
END
}

# Texts whose contrast with what is behind them is below that of WCAG AA.
sub pale {
    return $b->run(<<'END');
function rgb(text) { return text.match(/[\d.]+/g).map(Number) }
function light(c) {
    var l = c.slice(0, 3).map(function (v) {
        v /= 255;
        return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4);
    });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2];
}
function behind(e) {
    for (; e; e = e.parentElement) {
        var c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
}
var found = {};
var walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (var t = walker.nextNode(); t; t = walker.nextNode()) {
    var e = t.parentElement;
    if (!t.data.trim() || e.matches('script, option') || !e.getClientRects().length) continue;
    var size = parseFloat(getComputedStyle(e).fontSize);
    var a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
    var contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < (size >= 24 ? 3 : 4.5))
        found[e.tagName + '.' + e.className + ' ' + contrast.toFixed(2)] = 1;
}
return Object.keys(found);
END
}

### The quick start

my $top = RateLimit::Place::top();
open my $fh, '<', "$top/conf.d/quickstart.conf" or die $!;
my $quickstart = do { local $/; readline $fh };
my $h = RateLimit::Httpd->start(conf => $quickstart, children => 1);
page_is_good($h, '/limiter-status', 'quick start');
looks_good($h, '/limiter-status', 'quickstart');
is($b->run('return document.title'), 'Rate limits of localhost', 'a title');
like($b->text('#limits'), qr/200 per 1 day.*50 per 1 hour/s, 'the defaults');
like($b->text('#limits'), qr{Location /slow 1 per 1 day}, 'a section in one line');
like($b->text('#storage'), qr/shm\s+answers/, 'the storage is well');
is($b->count('main, nav, header, footer, h1'), 5, 'landmarks');
is($b->count('th:not([scope])'), 0, 'every heading of a table says what it heads');
is($b->run('return document.documentElement.lang'), 'en', 'a language');

my $policy = $h->client->get('/limiter-status', %html)->header('Content-Security-Policy');
like($policy, qr/^default-src 'none'; .*form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
     'a policy that lets nothing in');
unlike($policy, qr/unsafe|\*|http|self'.*self'/, 'and nothing else');
my $other = $h->client->head('/limiter-status', %html)->header('Content-Security-Policy');
is($other =~ s/nonce-\w+/nonce/gr, $policy =~ s/nonce-\w+/nonce/gr, 'HEAD has the same');
isnt($other, $policy, 'but for what is used once');

### Nothing is configured

$h->set_conf($status =~ s/.*RateLimitExempt.*\n//r);
$h->restart;
page_is_good($h, '/limiter-status', 'no limit');
looks_good($h, '/limiter-status', 'empty');
like($b->text('#limits'), qr/No limit is configured/, 'says so');
like($b->text('#keys'), qr/Nobody has been refused/, 'and that nobody was refused');
is($b->text('#warnings'), '', 'no warning, no heading');

### Three virtual hosts and thirty sections

my $sections = join '', map { <<"END" } 1 .. 9;
<Location "/area$_">
    RateLimit "${_}0 per minute" override_defaults=off
</Location>
END
my $conf = <<"END";
RateLimitDefault "600 per minute"
RateLimitApplication "5000 per minute" name=everybody
$status
<Location "/api">
    RateLimit "100 per minute"
</Location>
<Location "/api/v2">
    RateLimit "10 per minute" cost=2 key=%{HTTP:X-Key} key=%{REMOTE_ADDR} exempt_when="%{HTTP_USER_AGENT} =~ /<b>monitor/"
</Location>
<LocationMatch "^/users/[0-9]+/with-a-name-that-is-long-and-goes-on-and-on/(?:and|on|and|on)/until-it-ends">
    RateLimit "30 per minute" dry_run=on
</LocationMatch>
<VirtualHost *:\@PORT\@>
    ServerName www.example.com
$sections
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName shop.example.com
    RateLimitDefault "50 per minute"
$sections
    <Location "/cart">
        RateLimit 5/hour cost=6
    </Location>
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName dry.example.com
    RateLimitEngine DryRun
    RateLimitStatus 503
    <Directory "/srv/www">
        <Files "*.zip">
            RateLimit "3 per day"
        </Files>
    </Directory>
    <Location "/x">
        RateLimitExempt default
        <If "%{QUERY_STRING} == '<i>'">
            RateLimit "1 per hour"
        </If>
    </Location>
    <Location "/y">
        RateLimit "7 per minute"
    </Location>
    <Location "/z">
        RateLimitEndpoint "<u>"
    </Location>
</VirtualHost>
END
$h->stop;
$h = RateLimit::Httpd->start(conf => $conf, children => 1);
my $body = page_is_good($h, '/limiter-status', 'many')->body;
is(() = $body =~ /<details class="card vhost/g, 4, 'four servers');
is(() = $body =~ /<details class="node/g, 4 + 4 + 9 + 4 + 10 + 4 + 5, 'sections of each');
looks_good($h, '/limiter-status', 'many');
like($b->text('#warnings'), qr/1 warning\s+cost=6 is more than .*Mend: lower cost=/s,
     'a warning and its mend');
is($b->text('nav .warn'), 'Warnings 1', 'which is told at the top');
like($b->text('#configuration'), qr{RateLimitStatus\s+503\s+dry\.example\.com:\d+\s+\S+httpd\.conf:\d+},
     'a setting, whom it is for, and where it is set');
is($b->count('#limits i, #limits u'), 0, 'what is configured is text');
like($b->text('#t3 > summary'), qr/^dry\.example\.com:\d+\s+dry run\s/, 'a server that refuses nobody');
is($b->count('#t0 > summary .badge'), 0, 'one that does');
like($b->text('#t0'), qr{^Location /api\s+5000 per 1 minute; 100 per 1 minute\s+1 nested$}m,
     'a section that others are nested in');

# The sections of /api/v2 in the first server
$b->run('sessionStorage.clear()');
$b->open($h->url('/limiter-status'));
sub open_ids {
    return join ' ', @{ $b->run(<<'END') };
return Array.from(document.querySelectorAll('.node[open]'), function (d) { return d.id });
END
}
is(open_ids(), '', 'sections are folded');
unlike($b->text('#t0'), qr/inherited|Declared at/, 'and show a line each');
my ($api, $v2) = @{ $b->run(<<'END') };
return Array.from(document.querySelectorAll('#t0 .node')).filter(function (d) {
    return /^.api/.test(d.querySelector('.path').textContent);
}).map(function (d) { return d.id });
END
$b->click("#$api > summary");
is(open_ids(), $api, 'a click unfolds one');
like($b->text("#$api"), qr/In effect\s+5000 per 1 minute\s+everybody.*application.*100 per 1 minute.*own/s,
     'which says what holds and why');
$b->run("document.querySelector('#$v2 > summary').focus()");
$b->press('Enter');
is(open_ids(), "$api $v2", 'Enter unfolds one');
like($b->text("#$v2"), qr{exempt_when="%\{HTTP_USER_AGENT\} =~ /<b>monitor/"}, 'with its options');
$b->press('Space');
is(open_ids(), $api, 'Space folds it');
$b->press('Enter');
$b->open($h->url('/limiter-status'));
is(open_ids(), "$api $v2", 'what is unfolded is so when the page comes again');
$b->click('.fold [data-fold=""]');
is(open_ids(), '', 'all folded');
$b->click('.fold [data-fold=open]');
is($b->count('#limits details:not([open])'), 0, 'all unfolded');
$b->run('sessionStorage.clear()');
is_deeply([ $b->console ], [], 'the console is still empty');

# On paper everything is unfolded.
$b->open($h->url('/limiter-status'));
ok(!visible("#$api > .in"), 'a section is folded');
$b->cdp('Emulation.setEmulatedMedia', { media => 'print' });
ok(visible("#$api > .in"), 'but not in print');
ok(!visible('nav'), 'which has no menu');
$b->cdp('Emulation.setEmulatedMedia', { media => '' });
sub visible {
    return $b->run('return document.querySelector(arguments[0]).checkVisibility()', @_);
}

# Tab goes to everything that can be used.
$b->open($h->url('/limiter-status'));
my @stops;
for (1 .. 12) {
    $b->press('Tab');
    push @stops, $b->run('return document.activeElement.textContent');
}
is(join('|', @stops), join('|', 'To the figures', 'off', map({ "$_\x{a0}s" } 5, 15, 60),
   'Warnings 1', qw(Requests Storage Keys Ask Limits Configuration)), 'by the keyboard alone');

### Asking

$b->type('#f-key', '<script>alert(1)</script>');
$b->press('Enter');
ok($b->wait_for('document.querySelector("#answer")'), 'a key is asked for');
is($b->text('#answer h2'), 'Key <script>alert(1)</script>', 'and shown as it is');
is($b->dialogue, undef, 'and not run');
is($b->count('script:not([nonce])'), 0, 'and is no element');
is($b->run('return document.querySelector("#f-key").value'), '<script>alert(1)</script>',
   'and stands in its field');
is_deeply([ $b->console ], [], 'the console has nothing to say of it');
for my $key (qq{"'><img src=x onerror=alert(1)>}, 'a&b=c#d%41+e', "\x{e4}\x{20ac}", ' a  b ') {
    $b->type('#f-key', $key);
    $b->click('#ask form:last-child button');
    ok($b->wait_for('document.querySelector("#f-key").value === ' . JSON::PP->new->allow_nonref->encode($key)),
       encode_utf8("a key as odd as $key")) or diag $b->url;
    is($b->run('return document.querySelector("#answer h2 code").textContent'), $key, 'is shown');
    is($b->count('img'), 0, 'as text');
}
page_is_good($h, '/limiter-status?key=%3Cscript%3E%26%22%27%FF%01%C0%80', 'bytes');

$b->type('#f-path', '/api/v2/<i>x');
$b->run('document.querySelector("#f-method").value = "POST"');
$b->run('document.querySelector("#f-server").value = document.querySelectorAll("#f-server option")[3].value');
$b->click('#ask form:first-child button');
ok($b->wait_for('document.querySelector("#answer #h-path, #h-path")'), 'a path is asked for');
is($b->text('#answer h2'), 'What applies to /api/v2/<i>x', 'and shown as it is');
like($b->url, qr/[?&]method=POST&server=shop\.example\.com%3A\d+$/, 'with method and server');
is($b->text('#answer .sum'), '2 limits hold for such a request; 3 around it do not.',
   'what comes of it, in a sentence');
looks_good($h, '/limiter-status?path=/api/v2/x', 'path', seen => 1);
looks_good($h, '/limiter-status?key=127.0.0.1', 'key', seen => 1);
page_is_good($h, '/limiter-status?path=/api/v2/x&key=127.0.0.1', 'both');

### Refreshing

$b->open($h->url('/limiter-status?key=10.0.0.1'));
is($b->text('.choices [aria-current]'), 'off', 'it does not refresh');
ok($b->run('return document.querySelector(".choices a:nth-child(2)").href')
    =~ /\?key=10\.0\.0\.1&refresh=5$/, 'but would, with what was asked');
$b->open($h->url('/limiter-status?key=10.0.0.1&refresh=1'));
is($b->text('.choices [aria-current]'), "1\x{a0}s", 'each second');
$b->click("#$api > summary");
$b->run('window.same = 1');
ok($b->wait_for('!window.same'), 'it comes again');
is(open_ids(), $api, 'with what was unfolded');
like($b->url, qr/\?key=10\.0\.0\.1&refresh=1$/, 'and what was asked');
$b->run('window.same = 1; document.querySelector("#f-key").focus()');
is($b->wait_for('!window.same', 2.5), '', 'not while somebody types');
$b->run('document.activeElement.blur()');
ok($b->wait_for('!window.same'), 'but then');
is_deeply([ $b->console ], [], 'the console is still empty');

### Without scripts

$b->run('sessionStorage.clear()');
$b->scripts(0);
$b->open($h->url('/limiter-status'));
is($b->count('.fold:not([hidden])'), 0, 'no button that does nothing');
$b->click("#$api > summary");
is(open_ids(), $api, 'sections unfold');
$b->open($h->url('/limiter-status?refresh=1'));
$b->run('window.same = 1');
ok($b->wait_for('!window.same'), 'it refreshes');
$b->open($h->url('/limiter-status'));
$b->type('#f-key', '10.0.0.9');
$b->press('Enter');
ok($b->wait_for('document.querySelector("#answer")'), 'it answers');
$b->scripts(1);

### Many warnings

# A page that comes again by itself would keep the server.
$b->open('about:blank');
$h->stop;
$h = RateLimit::Httpd->start(children => 1, conf => $status . join '', map { qq(<Location "a$_">\n    RateLimit 5/hour\n</Location>\n) } 1 .. 8);
page_is_good($h, '/limiter-status', 'warnings');
$b->open($h->url('/limiter-status'));
is($b->text('#warnings h2'), '8 warnings', 'all are counted');
is($b->count('#warnings > .warnings > li'), 5, 'and five are shown');
is($b->text('#more-warnings > summary'), '3 more', 'the others are folded');
$b->click('#more-warnings > summary');
like($b->text('#more-warnings'), qr/<Location "a6">.*<Location "a8"> meets no request/s, 'until they are wanted');

### A thousand sections

# A page that comes again by itself would keep the server.
$b->open('about:blank');
my $many = join '', map { qq(<Location "/s$_">\nRateLimit "$_ per minute"\n</Location>\n) } 1 .. 1000;
$h->stop;
$h = RateLimit::Httpd->start(children => 1, conf => $status . $many . join '', map { <<"END" } 1 .. 3);
<VirtualHost *:\@PORT\@>
    ServerName host$_.example.com
</VirtualHost>
END
$body = page_is_good($h, '/limiter-status', 'thousand')->body;
is(() = $body =~ /<details class="node/g, 2 * 1001, 'as many as a page can stand');
cmp_ok(length $body, '<', 2_500_000, 'its size');
unlike($body, qr/class="card vhost" id="t\d" open/, 'servers are folded');
$b->screen(360, 740);
$b->open($h->url('/limiter-status'));
is($b->run('return document.documentElement.scrollWidth'), 360, 'on a phone');
$b->click('#t2 > summary');
$b->click('#t2 a');
ok($b->wait_for('/tree=/.test(location.search)'), 'the others are a click away');
is($b->count('#t2[open] .node'), 1001, 'in full');
is($b->count('#t0 .node'), 1001, 'the first is there as well');
is($b->count('#t1 .node'), 0, 'another is not');
done_testing;
