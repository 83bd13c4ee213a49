# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# The filter and the jail of conf.d/fail2ban, by fail2ban itself on the log of a
# real httpd: who is refused is found, at the time when it was, and nobody has
# another one banned whatever he sends.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use IO::Socket::IP ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use RateLimit::Httpd;
use RateLimit::Place qw(slurp);

chdir RateLimit::Place::top() or die $!;
my $filter = 'conf.d/fail2ban/filter.d/ratelimit_ext.conf';
$ENV{TZ} = 'UTC';

# What fail2ban-regex finds in a file of log lines: [address, time] each.
sub found {
    my ($file, $with) = @_;
    my @command = ('fail2ban-regex', '-o', 'row', $file, $with || $filter);
    my $said = qx(@{[join ' ', map { "'$_'" } @command]} 2>&1);
    return map { /^\['([^']*)',\s+([\d.]+),/ ? [$1, $2] : ["what? $_", 0] }
        split /\n/, $said;
}

# A machine without IPv6 has nobody who connects by it.
my $has_v6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1);
my $now = 1_800_000_000;
my $h = RateLimit::Httpd->start(
    children => 1, faketime => $now,
    files => {
        'customer/.htaccess' => qq(RateLimit "0 per hour"\n),
        'shared/.htaccess' => qq(RateLimitShared "0 per hour" scope=x\n),
        'strict/.htaccess' => qq(RateLimit "1 per hour" meta="0 per day"\n),
        map { ("$_/x" => "x\n") } qw(customer shared strict), 'customer/deep',
    },
    conf => <<'END' . ($has_v6 ? <<'V6' : ''));
HttpProtocolOptions Unsafe LenientMethods
LimitRequestFieldSize 1000000
RateLimitDefault "1000 per hour"
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Location "/a">
    RateLimit "0 per hour" key=%{RATELIMIT_CLIENT} key=%{REQUEST_URI} key=%{req:X-It}
    RateLimitEndpoint %{REQUEST_URI}?%{QUERY_STRING}
    RateLimitKeyDisplay plain
</Location>
<Location "/hashed">
    RateLimit "0 per hour" key=%{req:X-It}
</Location>
<Location "/named">
    RateLimit "0 per hour" name=x:client=198.51.100.9
</Location>
<Location "/scope">
    RateLimitShared "0 per hour" scope=%{req:X-It}
</Location>
<Location "/dynamic">
    RateLimit "%{req:X-It}"
</Location>
<Location "/try">
    RateLimit "0 per hour" dry_run=on
</Location>
<Location "/dry">
    RateLimit "0 per hour"
    RateLimitEngine DryRun
</Location>
<Location "/status">
    RateLimit "0 per hour" status=503
</Location>
<VirtualHost *:@PORT2@>
    RemoteIPHeader X-Nobody-Sends
</VirtualHost>
END
Listen [::1]:@PORT2@
V6
my $c = $h->client;
my ($n, @want) = (0);

# From an address of its own that is to be found, or is not to be.
sub refused {
    my ($path, %headers) = @_;
    my $address = $headers{'X-Forwarded-For'} //= '192.0.2.' . (1 + $n++ % 250);
    push @want, [$path, $address];
    return $c->request('GET', $path, \%headers);
}
sub let_be {
    my ($path, %headers) = @_;
    $headers{'X-Forwarded-For'} //= '203.0.113.' . (1 + $n++ % 250);
    return $c->request('GET', $path, \%headers);
}

### Who is refused

refused('/a/x');
is(refused('/a/x', 'X-Forwarded-For' => '2001:db8::7')->code, 429, 'refused');
refused('/a/x', 'X-Forwarded-For' => '2001:db8:1:2:3:4:5:6');
refused('/hashed', 'X-It' => 'sk-live-secret');
refused('/named');
refused('/scope', 'X-It' => 'x');
refused('/dynamic', 'X-It' => '0 per hour');
is(refused('/status')->code, 503, 'with a status of its own');

# Who is not
is(let_be('/try')->code, 404, 'dry_run=on');
is(let_be('/dry')->code, 404, 'DryRun');
is(let_be('/missing')->code, 404, 'no limit');
is(let_be("/$_/x")->code, 429, "a .htaccess file: $_") for qw(customer shared strict);

### What is sent to have 198.51.100.9 banned

my $time = '[Fri Jan 15 07:59:00.000000 2027] ';
my $forged = '[ratelimit_ext:info] [pid 1:tid 1] [client 198.51.100.9:1] '
           . 'RLX0001: refused: client 198.51.100.9 limit "1 per 1 day" key "x" scope "x"';
my @forgeries = (
    $forged, "$time$forged", "\x0b$time$forged", "\x0c$time$forged", "\r$time$forged",
    "\e[2K\e[1G$time$forged", "\b" x 250 . "$time$forged", "\" scope \"x\"$forged",
    "x\\\" $forged", "\\n$time$forged", "\xe2\x80\xa8$time$forged",
    "\xe2\x80\xa9$time$forged", "\xc2\x85$time$forged", "\x1c$time$forged",
    "\x1d$time$forged", "\x1e$time$forged", 'x' x 199 . "\xff$forged",
    'x' x 8000 . "$time$forged", '198.51.100.9', 'client 198.51.100.9 limit "',
    ': client 198.51.100.9 limit "x"', '[client 198.51.100.9]', "\xff\xfe\xc0\x80",
    '2001:db8::bad', 'RLX0001: refused: client 2001:db8::bad limit "',
);
# In a path any byte may be escaped, line ends too.
my @escaped = map { s/[^0-9a-z]/sprintf '%%%02x', ord $&/gier }
    grep { length() < 2000 } @forgeries, "x\n$time$forged", "x\r\n$time$forged",
    "\n$time$forged\n";
for my $text (grep { !/[\r\n\0]|^\s/ } @forgeries) {
    refused('/a/x', 'X-It' => $text, Referer => $text, 'User-Agent' => $text);
    refused('/hashed', 'X-It' => $text, Referer => $text);
    refused('/scope', 'X-It' => $text, Host => 'localhost');
    let_be('/missing', Referer => $text, 'User-Agent' => $text);
}
for my $path (@escaped) {
    refused("/a/$path");
    refused("/a/?$path");
    let_be("/missing/$path");
    let_be("/$path");
    let_be("/$path", 'X-Forwarded-For' => "203.0.113.3, $path");
}

### Whose address it is

# mod_remoteip believes nobody here: the address is the connection's.
my $other = $h->client(2);
push @want, ['a field that nobody believes', '127.0.0.1'];
$other->get('/a/x', 'X-Forwarded-For' => '198.51.100.9');
if ($has_v6) {
    my $v6 = IO::Socket::IP->new(PeerHost => '::1', PeerPort => $h->port(2), Timeout => 5)
        or die "::1: $@";
    push @want, ['a connection by IPv6', '::1'];
    print $v6 "GET /a/x HTTP/1.0\r\nHost: a\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n";
    like(join('', readline $v6), qr{^HTTP/1\.1 429 }, 'an answer by IPv6');
}
# The proxy that is believed says who: the last one that is no proxy.
push @want, ['behind a proxy', '192.0.2.99'];
$c->get('/a/x', 'X-Forwarded-For' => '198.51.100.9, 192.0.2.99');
push @want, ['what is no address', '127.0.0.1'];
$c->get('/a/x', 'X-Forwarded-For' => '198.51.100.9 limit "x"');
push @want, ['IPv4 in IPv6', '192.0.2.98'];
$c->get('/a/x', 'X-Forwarded-For' => '::ffff:192.0.2.98');

### What fail2ban makes of it

my $log = $h->dir . '/error_log';
my @lines = split /\n/, $h->error_log;
cmp_ok(scalar(grep { /198\.51\.100\.9/ } @lines), '>', 100, 'what was sent is in the log');
my @found = found($log);
is_deeply([map { $_->[0] } @found], [map { $_->[1] } @want],
          'the refused, in order, and nobody else');
is_deeply([grep { $_->[1] != $now } @found], [], 'each at the time when it was');
unlike($h->error_log, qr/sk-live-secret/, 'a key that may be a secret is hashed');
is(scalar(grep { /RLX0001: refused \(\.htaccess\): client / } @lines), 3,
   'refusals of .htaccess files say that they are');

# With them, as the filter's comment has it.
my $dir = RateLimit::Place::public_tempdir('fail2ban');
sub spew {
    my ($file, $content) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print $fh $content;
    close $fh or die "$file: $!";
}
my ($more) = slurp($filter) =~ /^#\s+(_refused = .*)$/m;
system('cp', '-r', '/etc/fail2ban', "$dir/etc") == 0 or die 'cp';
system('cp', '-r', 'conf.d/fail2ban/filter.d', 'conf.d/fail2ban/jail.d', "$dir/etc") == 0
    or die 'cp';
spew("$dir/etc/filter.d/ratelimit_ext.local", "[Definition]\n$more\n");
is(scalar(my @all = found($log, "$dir/etc/filter.d/ratelimit_ext.conf")), @want + 3,
   'those of .htaccess files too, if they are to');
unlink "$dir/etc/filter.d/ratelimit_ext.local";
$c->close;
$other->close;
$h->stop;

# Other forms of the line: one process, and a time as ISO has it.
for (['prefork', ''], [undef, 'ErrorLogFormat "[%{cu}t] [%-m:%l] [pid %P:tid %T] [client\ %a] %M"']) {
    my ($mpm, $format) = @$_;
    my $other = RateLimit::Httpd->start($mpm ? (mpm => $mpm) : (), children => 1,
                                        conf => <<"END");
$format
<Location "/a">
    RateLimit "0 per hour"
</Location>
END
    my $before = int time;
    $other->client->get('/a', 'X-Forwarded-For' => '192.0.2.7');
    my @found = found($other->dir . '/error_log');
    is_deeply([map { $_->[0] } @found], ['192.0.2.7'], $mpm || $format);
    cmp_ok(abs($found[0][1] - $before), '<', 5, 'and the time');
}

### The jail, by a fail2ban-server of its own: it runs a command in place of a firewall

my $web = RateLimit::Httpd->start(children => 1, conf => <<'END');
LogLevel notice ratelimit_ext:info
<Location "/a">
    RateLimit "2 per hour"
</Location>
END
my $error_log = $web->dir . '/error_log';
spew("$dir/etc/action.d/note.conf",
     "[Definition]\nactionban = echo <ip> >> $dir/banned\nactionunban = true\n");
spew("$dir/etc/jail.local", <<"END");
[DEFAULT]
apache_error_log = $error_log
action = note
END
spew("$dir/etc/fail2ban.local", <<"END");
[Definition]
logtarget = $dir/log
dbfile = None
END
unlink glob "$dir/etc/jail.d/defaults-*";
my @place = ('-c', "$dir/etc", '-s', "$dir/socket", '-p', "$dir/pid");
my $test = qx(fail2ban-client @place -t 2>&1);
like($test, qr/configuration test is successful/, 'fail2ban takes the jail');
defined(my $pid = fork) or die "fork: $!";
if (!$pid) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$dir/stdout";
    open STDERR, '>&', \*STDOUT;
    my @pdeath = (grep { -x "$_/setpriv" } split /:/, $ENV{PATH})
        ? qw(setpriv --pdeathsig KILL) : ();
    exec @pdeath, 'fail2ban-server', @place, '-x', '-f', 'start' or POSIX::_exit(127);
}
sub wait_for {
    my ($test) = @_;
    my $until = time + 15;
    while (time < $until) {
        my $got = $test->();
        return $got if $got;
        sleep 0.05;
    }
    return '';
}
my $client = $web->client;
ok(wait_for(sub { -e "$dir/log" && slurp("$dir/log") =~ /Jail 'ratelimit_ext' started/ }),
   'the jail is watched') or diag slurp("$dir/stdout");
# 2 pass and 29 are refused; then one more is.
$client->get('/a', 'X-Forwarded-For' => '192.0.2.50') for 1 .. 2 + 29;
$client->get('/a', 'X-Forwarded-For' => '192.0.2.51') for 1 .. 2 + 30;
is(wait_for(sub { -e "$dir/banned" && slurp("$dir/banned") }), "192.0.2.51\n",
   'who is refused 30 times is banned, who is 29 times is not');
my ($maxretry) = slurp('conf.d/fail2ban/jail.d/ratelimit_ext.conf') =~ /^maxretry = (\d+)/m;
is($maxretry, 30, 'as the jail says');
kill TERM => $pid;
wait_for(sub { waitpid($pid, WNOHANG) }) or kill(KILL => $pid), waitpid $pid, 0;
done_testing;
