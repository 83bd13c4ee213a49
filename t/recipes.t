# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 25
# mpm: any
#
# conf.d/recipes do what they say: each is served as it is, with paths below
# /etc/apache2 moved into the test's own directory, and asked.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use MIME::Base64 qw(encode_base64);
use RateLimit::Httpd;
use RateLimit::Memcached;
use RateLimit::Redis;
use RateLimit::Redis::Cluster;
use RateLimit::Redis::Sentinel;

my $recipes = "$FindBin::Bin/../conf.d/recipes";
my ($h, $c, %tested);

sub recipe_text {
    my ($name) = @_;
    open my $fh, '<', "$recipes/$name" or die "$name: $!";
    local $/;
    return readline($fh) =~ s{/etc/apache2/}{\@DIR\@/}gr;
}

# Serves a recipe. edit: what an administrator would change in it, a
# substitution; conf: what else is in the server.
sub serve {
    my ($name, %arg) = @_;
    my $text = recipe_text("$name.conf");
    $tested{$name} = 1;
    $arg{edit}->() for $arg{edit} ? $text : ();
    $h->stop if $h;
    my %files = map { ($_ => "page\n") } @{ $arg{pages} || [] };
    $h = RateLimit::Httpd->start(
        faketime => 1, children => 1,
        modules => ['rewrite', @{ $arg{modules} || [] }],
        files => { %files, %{ $arg{files} || {} } },
        conf => join "\n", $arg{before} // '', $text, $arg{conf} // '');
    $c = $h->client;
    return $h;
}

# Statuses in a row: "3x200 2x429". By a client with an address of its own
# unless one is given.
my $serial = 0;
sub fresh { $serial++; return sprintf '198.18.%d.%d', $serial / 250, 1 + $serial % 250 }
sub ask {
    my ($n, $method, $path, %headers) = @_;
    $headers{'X-Forwarded-For'} //= fresh();
    my @runs;
    for (1 .. $n) {
        my $code = $c->request($method, $path, \%headers)->code;
        @runs && $runs[-1][1] == $code ? $runs[-1][0]++ : push @runs, [1, $code];
    }
    return join ' ', map { "$_->[0]x$_->[1]" } @runs;
}
sub get { my ($n, $path, @headers) = @_; return ask($n, GET => $path, @headers) }
sub from { return ('X-Forwarded-For' => $_[0]) }

### Plans, by each kind of map

my @plan = map { sprintf '%032x', $_ } 1, 2;
my $listed = join '', "$plan[0] 5/minute;8/day\n", "$plan[1] 3/minute\n";
my %map = (
    txt => sub { },
    'dbm=sdbm' => sub {
        my ($dir) = @_;
        is(system("httxt2dbm -f SDBM -i $dir/plans.txt -o $dir/plans.map >/dev/null"), 0,
           'httxt2dbm');
    },
    dbd => sub {
        my ($dir) = @_;
        my $rows = join ',', map { s/(\S+) (\S+)\n/('$1','$2')/r } $listed =~ /.+\n/g;
        is(system('sqlite3', "$dir/plans.db", 'CREATE TABLE plans (api_key TEXT '
                  . "PRIMARY KEY, limits TEXT NOT NULL); INSERT INTO plans VALUES $rows"),
           0, 'sqlite3');
    },
    prg => sub { chmod 0755, "$_[0]/plans.sh" },
);
my $program = recipe_text('plans.sh');
$program =~ s{^(\s+)\S+\) echo '60/minute;5000/day' ;;}
    {join "\n", map { my ($k, $l) = split; "$1$k) echo '$l' ;;" } split /\n/, $listed}me
    or die 'plans.sh is another';

for my $kind (sort keys %map) {
    # The files have to be there when the server starts.
    my $dir = RateLimit::Place::public_tempdir('plans');
    for (['plans.txt', $listed], ['plans.sh', $program]) {
        open my $fh, '>', "$dir/$_->[0]" or die $!;
        print $fh $_->[1];
        close $fh or die $!;
    }
    $map{$kind}->($dir);
    serve('api-plans', modules => [qw(dbd proxy proxy_http)],
        pages => ['api/x', 'y'], edit => sub {
            s{\@DIR\@}{$dir}g;
            s/^RewriteMap/#RewriteMap/m;
            s/^#(RewriteMap plans "\Q$kind\E:)/$1/m or die $kind;
            s/^#(?=DBD)//mg if $kind eq 'dbd';
        }, before => '<VirtualHost *:@PORT@>',
        conf => 'ProxyPass "/api/backend" "http://127.0.0.1:@PORT@/y"'
            . "\n</VirtualHost>");
    my @key = map { ['X-Api-Key' => $_] } @plan;
    is(get(7, '/api/x', @{ $key[0] }), '5x200 2x429', "$kind: a plan");
    is(get(4, '/api/x', @{ $key[1] }), '3x200 1x429', "$kind: another");
    $h->advance(60);
    is(get(7, '/api/x', @{ $key[0] }), '3x200 4x429', "$kind: its second limit");
    is(get(4, '/api/backend', @{ $key[1] }), '3x200 1x429', "$kind: before a backend");
    my $address = fresh();
    is(get(15, '/api/x', from($address)), '15x200', "$kind: no key: by address");
    is(get(10, '/api/x', from($address), 'X-Api-Key' => 'f' x 32),
       '5x200 5x429', "$kind: a key that is none: the same");
    my $n = 0;
    is(join('', map { get(1, '/api/x', from($address), 'X-Api-Key' => $_) } (
        'NULL', '', uc $plan[0] . 'A', "$plan[0] ", "$plan[0]|9/second", "' OR '1'='1",
        '${plans:' . $plan[0] . '}', '%', '9/second', 'x' x 7000, 'dead' . $plan[0])),
        '1x429' x 11, "$kind: nor what a client makes up");
    is(get(3, '/api/x', from($address), @{ $key[1] }), '3x429',
       "$kind: a plan that is used up");
    $h->advance(60);
    # Of the 600 of one address
    $address = fresh();
    is(get(601, '/api/x', from($address), 'X-Api-Key' => "guess$_" . 'x' x 16),
       '20x200 581x429', "$kind: guessing keys") for 1;
}

### Keys that nobody looks up

serve('api-by-key', pages => ['api/x']);
my $address = fresh();
is(get(61, '/api/x', 'X-Api-Key' => 'one'), '60x200 1x429', 'a key');
is(get(1, '/api/x', 'X-Api-Key' => 'two'), '1x200', 'another');
is(get(61, '/api/x', from($address)), '60x200 1x429', 'no key: an address');
is(get(1, '/api/x', from($address), 'X-Api-Key' => 'three'), '1x200', 'but a key');
$h->advance(60);
$address = fresh();
my $left = 300;
$left -= get(1, '/api/x', from($address), 'X-Api-Key' => "made up $_") =~ /200/
    for 1 .. 310;
is($left, 0, 'an address that makes up keys');

### Users

my $basic = sub { return Authorization => 'Basic ' . encode_base64("$_[0]:secret", '') };
serve('users', modules => [qw(auth_basic authn_file authz_user)],
    pages => ['private/x'],
    files => { '../users' => join '', map { "$_:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n" }
        qw(jane john) },
    edit => sub { s/1000 per hour/3 per hour/ or die }, conf => <<'END');
<Location "/private">
    AuthType Basic
    AuthName recipes
    AuthBasicProvider file
    AuthUserFile "@DIR@/users"
    Require valid-user
</Location>
END
$address = fresh();
is(get(4, '/private/x', from($address), $basic->('jane')), '3x200 1x429', 'a user');
is(get(1, '/private/x', $basic->('jane')), '1x429', 'from elsewhere');
is(get(3, '/private/x', from($address), $basic->('john')), '3x200', 'another user');
is(get(5, '/private/x', $basic->('nobody')), '5x401', 'who is no user is not counted');

### By country

serve('country', pages => ['x'], edit => sub {
    s{192\.0\.2\.0/24}{127.0.0.1} or die;
    s/"3000 per minute"/"200 per minute"/ or die;
    s/"600 per minute"/"100 per minute"/ or die;
});
is(get(101, '/x', 'X-Country' => 'DE'), '100x200 1x429', 'at home');
is(get(61, '/x', 'X-Country' => 'FR'), '60x200 1x429', 'abroad');
is(get(61, '/x'), '60x200 1x429', 'nobody knows where');
is(get(61, '/x', 'X-Country' => 'DE; drop'), '60x200 1x429', 'what is no country');
is(join(' ', map { get(60, '/x', 'X-Country' => 'FR') } 1 .. 3),
   '60x200 60x200 20x200 40x429', 'a country');
is(get(60, '/x', 'X-Country' => 'ES'), '60x200', 'another country');
is(get(60, '/x', 'X-Country' => 'AT'), '60x200', 'another at home');
serve('country', pages => ['x'], edit => sub { s/"60 per minute"/"6 per minute"/ or die });
is(get(7, '/x', 'X-Country' => 'DE'), '6x200 1x429', 'a field that did not come from the CDN');

### Costs

serve('cost', pages => ['items/x']);
sub cost {
    my ($path, %headers) = @_;
    return 1000 - $c->get($path, from(fresh()), %headers)->header('X-RateLimit-Remaining');
}
is(cost('/items/x'), 1, 'no limit');
is(cost('/items/x?limit=99'), 1, 'limit=99');
is(cost('/items/x?limit=100'), 1, 'limit=100');
is(cost('/items/x?a=b&limit=250&c=d'), 2, 'limit=250');
is(cost('/items/x?limit=300'), 3, 'limit=300');
is(cost('/items/x?limit=99999999'), 3, 'limit=99999999');
is(cost('/items/x', 'X-Batch-Size' => 7), 7, 'a batch');
is(cost('/items/x', 'X-Batch-Size' => $_), 1, "a batch of $_")
    for '0', '-5', '1000', '007', '1e3', 'many', '1 ' . ' ' x 10 . '9';
is(scalar(() = $h->error_log =~ /RLX0032/g), 0, 'the log has nothing to say');

### IPv6

serve('ipv6', pages => ['x'], edit => sub {
    s/"300 per minute"/"3 per minute"/ && s/"3000 per minute"/"7 per minute"/ or die });
is(get(2, '/x', from('2001:db8:1:1::1')), '2x200', 'an address');
is(get(2, '/x', from('2001:db8:1:1:ffff::2')), '1x200 1x429', 'its /64');
is(get(3, '/x', from('2001:db8:1:2::1')), '3x200', 'another /64');
is(get(3, '/x', from('2001:db8:1:ffff::1')), '1x200 2x429', 'their /48');
is(get(3, '/x', from('2001:db8:2:1::1')), '3x200', 'another /48');
is(get(4, '/x', from("192.0.2.$_")), '3x200 1x429', "IPv4 $_") for 1 .. 3;

### Crawlers

serve('crawlers', pages => ['x', 'own/x'], conf =>
      qq(<Location "/own">\nRateLimit "500 per minute"\n</Location>\n));
my $bot = 'Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)';
is(get(20, '/x', 'User-Agent' => $bot), '20x200', 'a crawler');
is(get(11, '/own/x', 'User-Agent' => lc "$bot/another"), '10x200 1x429',
   'from elsewhere, somewhere else, as another version');
is(get(1, '/x', 'User-Agent' => 'CCBot/2.0'), '1x429', 'another one of its class');
is(get(31, '/x', 'User-Agent' => 'Mozilla/5.0 (compatible; AhrefsBot/7.0)'),
   '30x200 1x429', 'another class');
is(get(100, '/x', 'User-Agent' => 'Mozilla/5.0 Firefox/140.0'), '100x200', 'a browser');
is(get(601, '/x'), '600x200 1x429', 'everybody');

### Past all limits

serve('maintenance', pages => ['x'], edit => sub {
    s/"600 per minute"/"2 per minute"/ && s/^#(?=RateLimit)//m or die });
is(get(5, '/x', from('10.20.3.4')), '5x200', 'from the inside');
is(get(3, '/x', from('10.21.3.4')), '2x200 1x429', 'from elsewhere');
$address = fresh();
is(get(3, '/x', from($address)), '2x200 1x429', 'a client');
is(get(3, '/x', from($address), 'X-Load-Test' => 'c0ffee-change-me-0a1b2c3d4e5f'),
   '3x200', 'with the secret');
is(get(1, '/x', from($address), 'X-Load-Test' => $_), '1x429', 'with another')
    for 'c0ffee', '', 'C0FFEE-change-me-0a1b2c3d4e5f';
$h->write('../no-limits', '');
is(get(3, '/x', from($address)), '3x200', 'while the file is there');
unlink $h->dir . '/no-limits' or die $!;
is(get(1, '/x', from($address)), '1x429', 'and not any more');

### Behind a proxy

serve('behind-proxy', pages => ['x'], edit => sub {
    s/600 per/3 per/ && s{^RemoteIPInternalProxy.*}{RemoteIPInternalProxy 127.0.0.1 10.0.0.0/8}m
        or die });
is(get(4, '/x', from('203.0.113.1')), '3x200 1x429', 'a client of the proxy');
is(get(1, '/x', from('203.0.113.2')), '1x200', 'another');
is(get(1, '/x', from('203.0.113.1, 10.1.1.1')), '1x429', 'through two of our own');
is(get(3, '/x', from("203.0.113.$_, 203.0.113.9")), $_ == 3 ? '3x200' : '3x429',
   'what a client claims') for 3, 4;

### Bursts

serve('burst', pages => ['gallery/x']);
$address = fresh();
is(get(42, '/gallery/x', from($address)), '40x200 2x429', 'forty at once');
$h->advance(0.1);
is(get(2, '/gallery/x', from($address)), '1x200 1x429', 'one each tenth of a second');
$h->advance(1);
is(get(12, '/gallery/x', from($address)), '10x200 2x429', 'ten a second');

### Dry run

serve('dry-run', pages => ['x']);
is(get(105, '/x'), '105x200', 'nobody is refused');
is(scalar(() = $h->error_log =~ /RLX0001: would be refused \(dry run\)/g), 5,
   'the log says who would be');

### A page for refusals

serve('error-document', pages => ['x'], files => { 'slow-down.html' => "slow down\n" },
      edit => sub { s/300 per/2 per/ or die });
$address = fresh();
is(get(3, '/x', from($address)), '2x200 1x429', 'refused');
is($c->get('/x', from($address))->body, "slow down\n", 'with the page') for 1 .. 3;

### Health checks

serve('health-check', pages => ['x', 'health'], edit => sub {
    s/3000 per/5 per/ && s/600 per/3 per/ or die });
$address = fresh();
is(get(4, '/x', from($address)), '3x200 1x429', 'limited');
is(get(20, '/health', from($address)), '20x200', 'the check is not');

### Logins

serve('login', pages => ['login/x'], edit => sub { s/300 per/8 per/ or die });
sub post { my ($n, $path, @headers) = @_; return ask($n, POST => $path, @headers) }
$address = fresh();
is(get(20, '/login/x', from($address)), '20x200', 'looking is free');
is(post(6, '/login/x', from($address)), '5x200 1x429', 'five attempts');
like($c->post('/login/x', '', from($address))->body, qr/Too many attempts to log in/,
     'as it says');
is(post(5, '/login/x'), '3x200 2x429', 'all together');

my $cgi = 'case $QUERY_STRING in in) s="303\nLocation: http://localhost/";; out) s=401;; *) s=200;; esac';
my $login = sub {
    my ($cgid) = $ENV{MPM} && $ENV{MPM} eq 'prefork' ? 'cgi' : 'cgid';
    return (modules => [$cgid, qw(auth_basic authn_file authz_user)], conf => <<'END');
<Directory "@DOCROOT@">
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
<Location "/private">
    AuthType Basic
    AuthName recipes
    AuthBasicProvider file
    AuthUserFile "@DIR@/users"
    Require valid-user
</Location>
<Location "/closed">
    Require all denied
</Location>
END
};
my %script = map { ("$_.cgi" => "#!/bin/sh\n$cgi\nprintf 'Status: %b\\nContent-Type: text/plain\\n\\n' \"\$s\"\n") }
    qw(account/login/form convert/it);
serve('login', $login->(), files => { %script });
chmod 0755, map { $h->docroot . "/$_" } keys %script;
my $form = '/account/login/form.cgi';
is(post(20, "$form?in", from($address)), '20x303', 'who is in does not count');
is(post(3, "$form?no", from($address)), '3x200', 'who is not,');
is(post(3, "$form?out", from($address)), '2x401 1x429', 'does');
is(post(1, "$form?in", from($address)), '1x429', 'and is refused');
is(get(9, $form, from($address)), '9x200', 'but may look');

serve('login-guard', $login->(), pages => ['private/x'], files => {
    '../users' => join '', map { "$_:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n" } qw(jane john) });
my $guess = sub { return Authorization => 'bAsIc ' . encode_base64("$_[0]:wrong$_[1]", '') };
$address = fresh();
is(get(20, '/private/x', from($address)), '20x401', 'no password is no guess');
is(get(20, '/private/x', from($address), $basic->('jane')), '20x200', 'a right one neither');
is(get(11, '/private/x', from($address), $guess->('jane', 1)), '10x401 1x429', 'ten guesses');
is(get(2, '/private/x', from($address), $basic->('jane')), '2x429', 'then not even the right one');
is(get(2, '/private/x', $basic->('jane')), '2x200', 'but from elsewhere');
my $all = join ' ', map { get(9, '/private/x', $guess->('jane', $_)) } 1 .. 5;
is($all, '9x401 9x401 9x401 9x401 4x401 5x429', 'many addresses guess: fifty for an account');
is(get(1, '/private/x', $basic->('jane')), '1x429', 'which is locked');
is(get(2, '/private/x', $basic->('john')), '2x200', 'another is not');
is(get(3, '/private/x', from(fresh()), Authorization => $_), '3x401', "no password either: $_")
    for 'Basic', 'Basic !!', 'Bearer abc', 'Basic ' . encode_base64('jane', '');

### By status

serve('by-status', $login->(), pages => ['x', 'closed/x', 'private/x'], files => { %script });
chmod 0755, map { $h->docroot . "/$_" } keys %script;
$address = fresh();
is(get(100, '/x', from($address)), '100x200', 'what is there');
is(get(30, '/phpmyadmin', from($address)), '30x404', 'what is not');
is(get(5, '/closed/x', from($address)), '5x403', 'what is closed');
is(get(6, '/private/x', from($address)), '5x401 1x429', 'where a password is missing');
is(get(2, '/x', from($address)), '2x429', 'a scanner');
is(get(1, '/x'), '1x200', 'others are none');
$h->advance(60);
is(get(1, '/x', from($address)), '1x200', 'nor is it, a minute later');
$address = fresh();
is(get(3, '/convert/it.cgi?out', from($address)), '3x401', 'failures');
my $r = $c->get('/convert/it.cgi', from($address));
is($r->code, 200, 'a success');
$h->advance(60);
is($c->get('/convert/it.cgi?out', from($address))->code, 401, 'a failure');
is(get(10, '/convert/it.cgi?in', from($address)), '9x303 1x429', 'ten a minute, whatever comes');
$h->advance(60), get(10, '/convert/it.cgi?in', from($address)) for 1 .. 9;
$h->advance(60);
is(get(1, '/convert/it.cgi', from($address)), '1x429', 'a hundred successes a day');

### URLs

serve('per-url', pages => ['x', map { "$_/x" } qw(search export report wiki files)],
      edit => sub { s/3000 per/1000 per/ or die });
is(get(11, '/search/x'), '10x200 1x429', 'ten searches');
$address = fresh();
is(get(3, '/report/x', from($address)), '3x200', 'reports');
is(get(6, '/export/x', from($address)), '5x200 1x429', 'take from exports');
is(get(1, '/report/x', from($address)), '1x429', 'and the other way round');
is(post(31, '/wiki/x', from($address)), '30x200 1x429', 'a page is written');
is(post(2, '/wiki/x/y', from($address)) =~ /429/, '', 'another page is another');
is(get(101, '/files/x', from($address)), '100x200 1x429', 'downloads');
is(post(1, '/files/x', from($address)), '1x200', 'uploads by themselves');

### A reverse proxy

serve('reverse-proxy', modules => [qw(proxy proxy_http)],
    files => { 'back/x' => "back\n", 'back/search' => "found\n" },
    edit => sub { s{127\.0\.0\.1:3000/}{127.0.0.1:\@PORT2\@/}g or die },
    conf => qq(<VirtualHost *:\@PORT2\@>\nDocumentRoot "\@DOCROOT\@/back"\n</VirtualHost>\n));
$address = fresh();
is(get(21, '/app/x', from($address)), '20x200 1x429', 'by where it goes');
$h->advance(1);
is(get(3, '/app/search', from($address)), '2x200 1x429', 'by URL as well');

### Files of a page

serve('static-files', pages => ['x', 'a.png', 'own/c.js'], conf =>
      qq(<Directory "\@DOCROOT\@/own">\nRateLimit "1 per minute"\n</Directory>\n));
$address = fresh();
is(get(61, '/x', from($address)), '60x200 1x429', 'pages');
is(get(70, '/a.png', from($address)), '70x200', 'pictures are free');
is(get(5, '/own/c.js', from($address)), '5x200', 'everywhere');

### Virtual hosts

serve('virtual-hosts', pages => ['x'], edit => sub {
    s/\*:80/*:\@PORT\@/g; s/600 per/6 per/ && s/5000 per/10 per/
        && s/100 per minute; 2000/3 per minute; 2000/ or die });
$address = fresh();
my $host = sub { my ($n, $name) = @_;
                 return get($n, '/x', from($address), Host => "$name.example.com") };
is($host->(7, 'www'), '6x200 1x429', 'what the main server says');
is($host->(4, 'shop'), '3x200 1x429', 'its own default');
is($host->(20, 'static'), '20x200', 'off');
$h->advance(60);
is($host->(6, 'www'), '6x200', 'again');
is($host->(4, 'shop'), '3x200 1x429', 'and again: nine of the umbrella');

### WordPress

serve('wordpress', pages => ['wp-login.php', 'xmlrpc.php', 'index.php', 'blog/wp-login.php']);
$address = fresh();
is(post(11, '/wp-login.php', from($address)), '10x200 1x429', 'logging in');
is(get(20, '/wp-login.php', from($address)), '20x200', 'looking at it');
is(post(11, '/blog/wp-login.php'), '10x200 1x429', 'in any directory');
is(post(21, '/xmlrpc.php', from($address)), '20x200 1x429', 'XML-RPC');
is(get(6, '/index.php?s=needle', from($address)), '5x200 1x429', 'searching');
is(get(1, '/index.php?a=b&s=needle', from($address)), '1x429', 'in other words');
is(get(20, '/index.php?pages=2', from($address)), '20x200', 'not searching');

### The page

serve('status', pages => ['x'], edit => sub { s/600 per/3 per/ or die });
$address = fresh();
is(get(4, '/x', from($address)), '3x200 1x429', 'limited');
is($c->get('/limiter-status', from('127.0.0.1'))->code, 200, 'the page, from this machine');
is(get(5, '/limiter-status', from('127.0.0.1')), '5x200', 'as often as one likes');
is(get(1, '/limiter-status', from($address)), '1x403', 'and not from elsewhere');

### A limit from the environment, wherever that is set

$h->stop;
my $limit = 'RateLimit "%{env:PLAN}"';
my $rule = 'RewriteRule ^ - [E=PLAN:${plans:%{HTTP:X-Plan}}]';
$h = RateLimit::Httpd->start(
    modules => ['rewrite'], children => 1,
    files => {
        '../plans.txt' => "two 2/day\nthree 3/day\n",
        'htaccess/rule/.htaccess' => "RewriteEngine On\n$rule\n$limit\n",
        'htaccess/deep/.htaccess' => "RewriteEngine On\n$rule\n",
        'htaccess/deep/down/.htaccess' => "$limit\n",
        'htaccess/away/.htaccess' => "RewriteEngine On\n$limit\n"
            . 'RewriteRule ^x$ y [E=PLAN:${plans:%{HTTP:X-Plan}}]' . "\n",
        'htaccess/if/.htaccess' => "SetEnvIf X-Plan two PLAN=2/day\n$limit\n",
        'htaccess/set/.htaccess' => "SetEnv PLAN 2/day\n$limit\n",
        map({ ("$_/x" => "x\n", "$_/y" => "y\n") } qw(server location directory files
            if set request htaccess/rule htaccess/deep/down htaccess/away htaccess/if
            htaccess/set location/if expr)),
    }, conf => <<"END");
RewriteEngine On
RewriteMap plans "txt:\@DIR\@/plans.txt"
RewriteRule ^/server - [E=PLAN:\${plans:%{HTTP:X-Plan}}]
SetEnvIf Request_URI ^/request PLAN=2/day
SetEnvIfExpr "%{REQUEST_URI} =~ m#^/expr# && req('X-Plan') == 'two'" PLAN=2/day
RateLimitDefault "9 per day"
<LocationMatch "^/(server|request|expr)">
    $limit
</LocationMatch>
<Location "/location">
    $rule
    $limit
</Location>
<Location "/location/if">
    SetEnvIf X-Plan two PLAN=2/day
</Location>
<Directory "\@DOCROOT\@">
    AllowOverride FileInfo Limit
</Directory>
<Directory "\@DOCROOT\@/directory">
    $rule
    $limit
</Directory>
<Directory "\@DOCROOT\@/files">
    <Files "x">
        $rule
        $limit
    </Files>
</Directory>
<Directory "\@DOCROOT\@/if">
    <If "%{REQUEST_METHOD} == 'GET'">
        $rule
        $limit
    </If>
</Directory>
<Directory "\@DOCROOT\@/set">
    SetEnv PLAN 2/day
    $limit
</Directory>
END
$c = $h->client;
for my $place (qw(server location directory files if set request expr location/if htaccess/rule
                  htaccess/deep/down htaccess/away htaccess/if htaccess/set)) {
    is(get(3, "/$place/x", 'X-Plan' => 'two'), '2x200 1x429', "$place: two");
    next if $place =~ /set|request|expr|if$/ && $place ne 'if';
    is(get(4, "/$place/x", 'X-Plan' => 'three'), '3x200 1x429', "$place: three");
    is(get(10, "/$place/x", 'X-Plan' => 'other'), '9x200 1x429', "$place: the default");
}

### Customers with .htaccess

serve('customers', modules => [qw(auth_basic authn_file authz_user autoindex)],
    edit => sub { s{/srv/customers}{\@DOCROOT\@/customers}g; s/"600 per/"6 per/;
                  s/"3000 per/"20 per/ },
    files => {
        (map { ("customers/$_/x" => "x\n") } qw(plain own greedy exempt trusted/jane)),
        'customers/own/.htaccess' => qq(RateLimit "3 per minute"\n),
        'customers/greedy/.htaccess' => qq(RateLimit "9 per minute" override_defaults=on\n),
        'customers/exempt/.htaccess' => "RateLimitExempt All\n",
        'customers/trusted/jane/.htaccess' =>
            qq(RateLimit "9 per minute" override_defaults=on\n),
    });
is(get(8, '/customers/plain/x'), '6x200 2x429', 'customers: the server\'s limit');
is(get(8, '/customers/own/x'), '3x200 5x429', 'customers: a stricter one of their own');
is(get(1, "/customers/$_/x"), '1x500', "customers: $_ is not allowed to") for qw(greedy exempt);
is(get(11, '/customers/trusted/jane/x'), '9x200 2x429', 'customers: who is trusted overrides');
my $visitor = fresh();
get(6, '/customers/plain/x', from($visitor));
get(9, '/customers/trusted/jane/x', from($visitor));
is(get(7, '/y', from($visitor)), '5x404 2x429', 'customers: and the umbrella is over all');

### A Redis that servers share, with the user of the recipe; and without it

my $rights = join ' ', map { /^#\s+(\S.*)/ ? $1 : () }
    recipe_text('redis.conf') =~ /^(# +user httpd .*\n(?:# +\+.*\n)*)/m
        ? split /\n/, $1 : ();
my $redis = RateLimit::Redis->prepare(conf => $rights);
serve('redis', edit => sub {
    s/:6379 timeout=20/':' . $redis->port . ' timeout=5000'/e or die;
});
$redis->launch(clock => $h);
is(get(7, '/login'), '5x404 2x429', 'redis: five log-ins, with the rights of the recipe');
is(get(101, '/x'), '100x404 1x429', 'redis: a hundred of all else');
unlike($h->error_log, qr/RLX0051/, 'redis: nothing was counted elsewhere');
$redis->stop;
is(get(27, '/x'), '25x404 2x429', 'redis: a quarter while it cannot be reached');
like($h->error_log, qr/RLX0051/, 'redis: which the log says');

### A Redis by sentinels, and a cluster

my %servers = (
    'redis-sentinel' => sub {
        my $there = RateLimit::Redis::Sentinel->start;
        s{redis\+sentinel://\S+}{$there->uri}e or die;
        return $there;
    },
    'redis-cluster' => sub {
        my $there = RateLimit::Redis::Cluster->start;
        s{redis\+cluster://\S+}{$there->uri}e or die;
        return $there;
    },
);
for my $name (sort keys %servers) {
    my ($path, $n) = $name eq 'redis-cluster' ? ('/search', 30) : ('/login', 5);
    my $there;
    serve($name, edit => sub { s/timeout=50/timeout=5000/ or die;
                               $there = $servers{$name}->() });
    is(get(101, '/x'), '100x404 1x429', "$name: a hundred a minute");
    is(get($n + 2, $path), "${n}x404 2x429", "$name: $n of $path");
    unlike($h->error_log, qr/cannot answer/, "$name: nothing was counted elsewhere");
}

### Several servers

my @memcached = map { RateLimit::Memcached->start } 1 .. 2;
my $servers = join ',', map { '127.0.0.1:' . $_->port } @memcached;
serve('memcached', pages => ['api'], edit => sub {
    s{10\.0\.0\.5:11211,10\.0\.0\.6:11211 timeout=20}{$servers timeout=5000} or die;
});
$visitor = fresh();
is(get(61, '/api', from($visitor)), '60x200 1x429', 'memcached: its limit');
is(get(1, '/api'), '1x200', 'memcached: others have their own');
is(scalar(grep { m{shop:.*\|\Q$visitor\E$} } map { $_->names } @memcached), 1,
   'memcached: counted there');
$_->kill for @memcached;
is(get(31, '/api', from($visitor)), '30x200 1x429', 'memcached: and without it, here');

### Watched

serve('monitoring');
is(get(700, '/limiter-status?format=prometheus', from('192.0.2.10')), '700x200',
   'monitoring: Prometheus, as often as it likes');
is(get(1, '/limiter-status', from('192.0.2.11')), '1x403', 'monitoring: nobody else');
is(get(601, '/x', from('192.0.2.12')), '600x404 1x429', 'monitoring: a limit');
like($h->error_log, qr/RLX0001: refused: client 192\.0\.2\.12 limit /,
     'monitoring: has a line for fail2ban');

### And none is left out

my @all = map { m{([^/]+)\.conf$} } glob "$recipes/*.conf";
is_deeply([grep { !$tested{$_} } @all], [], 'every recipe has been served');
done_testing;
