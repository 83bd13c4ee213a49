# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# limiter-status?key=K finds every counter: of random configurations and
# requests, the counters found of all keys together are as many as the table
# holds; and a key that is cleared leaves as many as the others have.
#
#   RLX_SEED=n    the same again
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Key qw(counters);

my $seed = $ENV{RLX_SEED} // int(rand 1e6);
diag "RLX_SEED=$seed";
srand $seed;

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my @files = map { my $d = $_; map { "$d$_" } qw(x.txt y.php) }
    '', 'a/', 'a/b/', 'a/b/c/', 'd/', 'd/b/';
my @keys = map { "192.0.2.$_" } 1 .. 4;

sub any { return $_[int rand @_] }
sub chance { return rand() < $_[0] }

# Windows differ, so that a section's limits do.
my $window = 0;
sub limit {
    my ($level) = @_;
    my $text = join '; ', map { 1000 + int(rand 9) . ' per '
                                . (60 + $window++) . ' minutes' }
        1 .. any(1, 1, 2);
    my $options = '';
    $options .= ' strategy=' . any(@strategies) if chance(0.2);
    $options .= ' per_method=on' if chance(0.15);
    $options .= ' methods=' . any('GET', 'GET,POST', 'POST') if chance(0.15);
    $options .= ' scope=here' if chance(0.15) && $level !~ /shared|app/;
    $options .= ' key=%{req:X-Key}' if chance(0.15);
    $options .= ' override_defaults=off' if $level !~ /default|app/ && chance(0.6);
    $options .= " name=n$window" if chance(0.1) && $text !~ /;/;
    return qq("$text"$options);
}
sub directives {
    my @lines;
    push @lines, 'RateLimit ' . limit('own') if chance(0.6);
    push @lines, 'RateLimitShared ' . limit('shared') . ' scope=' . any(qw(s t))
        if chance(0.2);
    push @lines, 'RateLimitExempt ' . any('default', 'application', 'ancestors',
        'default descendents') if chance(0.15);
    push @lines, 'RateLimitEndpoint ' . any(qw(one two)) if chance(0.15);
    push @lines, 'RateLimitStrategy ' . any(@strategies) if chance(0.2);
    push @lines, 'RateLimitKey %{req:X-Key}' if chance(0.1);
    return map { "    $_\n" } @lines;
}
sub section {
    my $dir = any('', qw(/a /a/b /a/b/c /d /d/b));
    my ($open, $inner) = @{ any(
        [qq(Location "@{[$dir || '/']}")], [qq(Location "@{[$dir || '/']}")],
        [qq(Directory "\@DOCROOT\@$dir")], [qq(Directory "\@DOCROOT\@$dir")],
        ['LocationMatch "^/[ad]/b"'], ['DirectoryMatch "/b$"'],
        ['Location "/*/b"'], ['Files "*.php"'], ['FilesMatch "^x"'],
        [q(If "-n %{req:X-If}")],
        [qq(Directory "\@DOCROOT\@$dir"), 'Files "*.txt"'],
        [qq(Location "@{[$dir || '/']}"), q(If "-n %{req:X-If}")]) };
    my ($end) = $open =~ /^(\w+)/;
    my $text = join '', "<$open>\n", directives();
    if ($inner) {
        my ($inner_end) = $inner =~ /^(\w+)/;
        $text .= join '', "<$inner>\n", directives(), "</$inner_end>\n";
    }
    return "$text</$end>\n";
}
sub server {
    my @lines;
    push @lines, 'RateLimitDefault ' . limit('default') if chance(0.7);
    push @lines, 'RateLimitApplication ' . limit('app') if chance(0.5);
    push @lines, 'RateLimitStrategy ' . any(@strategies) if chance(0.3);
    push @lines, 'RateLimitKeyPrefix p' if chance(0.2);
    return map { "$_\n" } @lines;
}
sub conf {
    return join '', <<'END', server(), (map { section() } 1 .. 8),
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
END
        "<VirtualHost 127.0.0.1:\@PORT2\@>\nServerName two\n", server(),
        (map { section() } 1 .. 3), "</VirtualHost>\n", <<'END';
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName status
    <Location "/limiter-status">
        SetHandler limiter-status
        RateLimitEngine Off
        RateLimitStatusControl On
    </Location>
</VirtualHost>
END
}

my ($h, $status);
sub used {
    my $body = $status->get('/limiter-status?format=text')->body;
    return $body =~ /^ +counters: (\d+) of/m ? $1 : die $body;
}
sub found {
    my ($key) = @_;
    return scalar(() = counters(
        $status->get("/limiter-status?format=text&key=$key")->body));
}

my $found_all = 0;
for my $round (1 .. 6) {
    my $conf = conf();
    $h = RateLimit::Httpd->start(conf => $conf, faketime => 1, children => 1,
                                 files => { map { $_ => '' } @files });
    $status = $h->client(3);
    my @client = map { $h->client($_) } 1, 2;
    for (1 .. 60) {
        any(@client)->request(any(qw(GET GET GET HEAD POST)), '/' . any(@files), {
            'X-Forwarded-For' => any(@keys), 'X-Key' => any(@keys),
            chance(0.3) ? ('X-If' => 1) : () });
    }
    my %found = map { $_ => found($_) } @keys;
    my $sum = 0;
    $sum += $_ for values %found;
    $found_all += $sum;
    is($sum, used(), "round $round: every counter is found") or diag $conf;
    $status->post('/limiter-status', "action=clear&key=$keys[0]");
    is_deeply({ map { $_ => found($_) } @keys }, { %found, $keys[0] => 0 },
              'all of one key are cleared, and no other');
}
cmp_ok($found_all, '>', 100, 'there were many');
done_testing;
