# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RATELIMIT_RESULT and the other variables: what they say, and that all who
# may look find them.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my @names = map { "RATELIMIT_$_" }
    qw(RESULT LIMIT REMAINING RESET WINDOW POLICY KEY SCOPE);

# A script that shows the variables, with and without REDIRECT_.
my $cgi = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
        . "env | grep RATELIMIT_ | sort\n";
my $T = 1_800_000_000;
my $place = <<'END';
RateLimitDefault "100 per day"
<Directory "@DOCROOT@">
    Options +ExecCGI
    AllowOverride FileInfo Limit
</Directory>
AddHandler cgi-script .cgi
<Location "/cgi">
    RateLimit "2 per hour" name=two
    ErrorDocument 429 /show.cgi
</Location>
<Location "/show.cgi">
    RateLimitEngine Off
</Location>
<Location "/missing">
    RateLimit "5 per 90 seconds"
    ErrorDocument 404 /show.cgi
</Location>
<Location "/index">
    DirectoryIndex x.cgi
</Location>
<Location "/dry">
    RateLimit "0 per hour" dry_run=on
</Location>
<Location "/exempt">
    RateLimitExempt default
</Location>
<Location "/filtered">
    RateLimitRequestFilter true
</Location>
<Location "/when">
    RateLimit "0 per hour" exempt_when=true
</Location>
<Location "/off">
    RateLimitEngine Off
</Location>
<Location "/key">
    RateLimit "3 per hour" key=%{req:X-Key} scope=%{req:X-Scope}
</Location>
<Location "/key/plain">
    RateLimitKeyDisplay plain
</Location>
<Location "/key/hash">
    RateLimitKeyDisplay hash
</Location>
<Location "/address/hash">
    RateLimitKeyDisplay hash
</Location>
<Location "/connection">
    RateLimitKey %{CONN_REMOTE_ADDR}
</Location>
<Location "/lower">
    RateLimitKey %{remote_addr}
</Location>
<Location "/umbrella">
    RateLimitEndpoint "%{req:X-Scope}"
</Location>
END
my %files = (
    (map { ("$_/x.cgi" => $cgi, "$_/x.txt" => "text\n") } qw(cgi index dry exempt
        filtered when off key key/plain key/hash address
        address/hash connection lower umbrella other)),
    'show.cgi' => $cgi,
    'htaccess/x.txt' => "text\n",
    'htaccess/.htaccess' => qq(Header set X-Result "%{RATELIMIT_RESULT}e"\n)
        . qq(Header always set X-Always "%{RATELIMIT_RESULT}e"\n)
        . qq(RateLimit "2 per hour"\n),
    'nested/x.txt' => "text\n",
    'nested/.htaccess' => qq(RateLimit "2 per hour"\n<Files "x.txt">\n)
        . qq(Header set X-Result "%{RATELIMIT_RESULT}e"\n</Files>\n),
);
my $h = RateLimit::Httpd->start(modules => ['cgid'], faketime => $T,
                                files => \%files, conf => $place);
chmod 0755, glob($h->docroot . '/{*,*/*,*/*/*}.cgi');
my $c = $h->client;
my $last = 0;
my $address;
sub fresh { $address = '192.0.2.' . ++$last; return }
sub get {
    my ($path, %headers) = @_;
    return $c->get($path, 'X-Forwarded-For' => $address, %headers);
}
sub vars { return { get(@_)->body =~ /^(\w+)=(.*)$/mg } }

### All of them, for a script

fresh;
my %want = (
    RATELIMIT_RESULT => 'allowed', RATELIMIT_LIMIT => '2 per 1 hour',
    RATELIMIT_REMAINING => 1, RATELIMIT_RESET => $T + 3600,
    RATELIMIT_WINDOW => 3600, RATELIMIT_POLICY => 'two',
    RATELIMIT_KEY => $address, RATELIMIT_SCOPE => 'Location /cgi');
is_deeply(vars('/cgi/x.cgi'), \%want, 'a script is told');
is(vars('/cgi/x.cgi')->{RATELIMIT_REMAINING}, 0, 'and again');
my $r = get('/cgi/x.cgi');
is($r->code, 429, 'refused');
my %got = $r->body =~ /^(\w+)=(.*)$/mg;
%want = (%want, RATELIMIT_RESULT => 'refused', RATELIMIT_REMAINING => 0);
is_deeply(\%got, { %want, map { ("REDIRECT_$_" => $want{$_}) } @names },
          'the error document is told, in both ways');
fresh;
my $v = vars('/missing');
is($v->{REDIRECT_RATELIMIT_RESULT}, 'allowed', 'any error document');
is($v->{REDIRECT_RATELIMIT_WINDOW}, 90, 'of what was decided');
is($v->{REDIRECT_RATELIMIT_SCOPE}, 'Location /missing', 'for what was asked');
is(vars('/index/')->{RATELIMIT_LIMIT}, '100 per 1 day', 'DirectoryIndex');

### Results

fresh;
is(vars('/dry/x.cgi')->{RATELIMIT_RESULT}, 'dry-run', 'dry-run');
is_deeply(vars("/$_/x.cgi"), { RATELIMIT_RESULT => 'exempt' }, "exempt: $_")
    for qw(exempt filtered when);
is_deeply(vars('/off/x.cgi'), {}, 'off: nothing');
is(get('/htaccess/x.txt')->header('X-Result'), 'allowed', '.htaccess');
get('/htaccess/x.txt');
is(get('/htaccess/x.txt')->header('X-Always'), 'refused', '.htaccess, refused');
is(get('/nested/x.txt')->header('X-Result'), 'allowed', '.htaccess, in Files');

### Keys and scopes

my @key = ('X-Key' => 'secret', 'X-Scope' => 'here');
like(vars('/key/x.cgi', @key)->{RATELIMIT_KEY}, qr/^#[0-9a-f]{16}$/,
     'a key is hashed');
like(vars('/key/hash/x.cgi', @key)->{RATELIMIT_KEY}, qr/^#[0-9a-f]{16}$/, 'hash');
is(vars('/key/plain/x.cgi', @key)->{RATELIMIT_KEY}, 'secret', 'plain');
like(vars('/address/hash/x.cgi')->{RATELIMIT_KEY}, qr/^#[0-9a-f]{16}$/,
     'an address as well');
is(vars('/address/x.cgi')->{RATELIMIT_KEY}, $address, 'or not');
is(vars('/connection/x.cgi')->{RATELIMIT_KEY}, '127.0.0.1', 'the address of a proxy');
is(vars('/lower/x.cgi')->{RATELIMIT_KEY}, $address, 'names of variables have no case');
my $mark = $h->mark;
get('/key/plain/x.cgi', @key) for 1 .. 3;
like($h->error_log($mark), qr/RLX0001: refused.* key "secret"/, 'plain in the log');
fresh;
is(vars('/umbrella/x.cgi', 'X-Scope' => 'the endpoint')->{RATELIMIT_SCOPE},
   'the endpoint', 'RateLimitEndpoint');
is(vars('/key/plain/x.cgi', 'X-Key' => "a\tb\xff\"{}%s<b>")->{RATELIMIT_KEY},
   "a\\x09b\xff\"{}%s<b>", 'control characters are shown as such');
$h->stop;

### Logs and fields: where the configuration mentions a variable

$h = RateLimit::Httpd->start(
    files => { map { ("$_/x.txt" => "text\n") } qw(log exempt other) },
    faketime => $T, conf => <<'END');
RateLimitDefault "2 per hour"
LogFormat "%a %{RATELIMIT_RESULT}e %{ratelimit_remaining}e %{RATELIMIT_KEY}e" rl
CustomLog "@DIR@/rl_log" rl
Header set X-Result "%{RATELIMIT_RESULT}e %{RATELIMIT_POLICY}e"
Header always set X-Always "%{RATELIMIT_RESULT}e"
<Location "/exempt">
    RateLimitExempt
</Location>
<Location "/log">
    RateLimit "1 per hour"
    ErrorDocument 429 /other/x.txt
</Location>
END
$c = $h->client;
fresh;
$r = get('/other/x.txt');
is($r->header('X-Result'), 'allowed 2 per 1 hour', 'Header set');
is($r->header('X-Always'), 'allowed', 'Header always set');
get('/other/x.txt');
$r = get('/other/x.txt');
is($r->header('X-Always'), 'refused', 'on a refusal');
is(get('/exempt/x.txt')->header('X-Result'), 'exempt (null)', 'exempt');
get('/log/x.txt');
$r = get('/log/x.txt');
is($r->code . $r->body, "429text\n", 'an error document');
is($r->header('X-Always'), 'refused', 'with the variable');
is($r->header('X-Result'), 'refused 1 per 1 hour', 'in both tables');
$h->stop;
open my $log, '<', $h->dir . '/rl_log' or die;
my @lines = map { s/^\S+ //r =~ s/\n//r } readline $log;
is_deeply(\@lines, ["allowed 1 $address", "allowed 0 $address",
                    "refused 0 $address", 'exempt - -', "allowed 0 $address",
                    "refused 0 $address"], 'LogFormat');

### SSI

$h = RateLimit::Httpd->start(
    modules => ['include'], files => {
        'x.shtml' => qq(<!--#echo var="RATELIMIT_RESULT" --> )
                   . qq(<!--#echo var="RATELIMIT_REMAINING" -->\n) },
    conf => <<'END');
RateLimitDefault "2 per hour"
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "@DOCROOT@">
    Options +Includes
</Directory>
END
$c = $h->client;
fresh;
is(get('/x.shtml')->body, "allowed 1\n", 'mod_include');
$h->stop;

### FastCGI: a small responder that says what it was given

my $pid = fcgi();
$h = RateLimit::Httpd->start(
    modules => ['proxy', 'proxy_fcgi'], conf => <<"END");
RateLimitDefault "2 per hour"
ProxyPass "/app" "fcgi://127.0.0.1:$fcgi::port/"
END
$c = $h->client;
fresh;
like(get('/app/x')->body, qr/RATELIMIT_RESULT.*allowed/s, 'mod_proxy_fcgi');
$h->stop;
waitpid $pid, 0;
done_testing;

# Answers one request with the bytes of its parameters.
sub fcgi {
    require IO::Socket::INET;
    my $listen = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die $!;
    no warnings 'once';
    $fcgi::port = $listen->sockport;
    defined(my $child = fork) or die $!;
    return $child if $child;
    alarm 30;
    my $socket = $listen->accept;
    my ($params, $type, $id) = ('', 0, 0);
    # Until the end of the standard input.
    while (read($socket, my $head, 8) == 8) {
        (undef, $type, $id, my $length, my $padding) = unpack 'CCnnC', $head;
        read $socket, my $body, $length + $padding if $length + $padding;
        $params .= substr $body, 0, $length if $type == 4 && $length;
        last if $type == 5 && !$length;
    }
    my $body = "Content-Type: text/plain\r\n\r\n" . ($params =~ s/[^ -~]/./gr);
    print $socket pack('CCnnCC', 1, 6, $id, length $body, 0, 0), $body,
                  pack('CCnnCC', 1, 6, $id, 0, 0, 0),
                  pack('CCnnCCNCC3', 1, 3, $id, 8, 0, 0, 0, 0, 0, 0, 0);
    close $socket;
    require POSIX;
    POSIX::_exit(0);
}
