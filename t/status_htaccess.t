# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# limiter-status: the limits that .htaccess files were seen to bring, over all
# children and graceful restarts.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my $httpd = RateLimit::Httpd->start(
    children => 3, faketime => 1,
    files => { map { ("$_/x.txt" => "x\n") } 'a', 'a/b', 'c', 'w', 'none' },
    conf => <<'END');
<Location "/status">
    SetHandler limiter-status
</Location>
<Directory />
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/c">
    RateLimitAllowOverride All
</Directory>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName other
    RateLimitStrategy gcra
</VirtualHost>
END
my $root = $httpd->docroot;
my $other = 'other:' . $httpd->port(2);

# The part of the page, with names made short. Each request has a connection of
# its own, so any child answers.
sub seen {
    my $body = $httpd->client->get('/status?format=text')->body;
    my ($part) = $body =~ /^Seen in \.htaccess(:? ?.*?)(?:^$|\z)/ms;
    return undef if !defined $part;
    return $part =~ s/\Q$root\E//gr =~ s/\Q$other\E/other/gr =~ s/\A\n//r;
}
# Until every child has read it, more or less.
sub get { my ($path, $n, $port) = @_;
          return map { $httpd->client($port)->get($path)->code } 1 .. $n // 1 }

is(seen(), ": nothing\n", 'at first, nothing');

$httpd->write('a/.htaccess', <<'END');
RateLimit "5/minute" cost=2
<Files x.txt>
    RateLimitShared "7/hour" scope=z
</Files>
<If "%{HTTP:X} == 'y'">
    RateLimit "9/day"
</If>
END
get('/a/x.txt', 12);
my $a = <<'END';
  /a/.htaccess  in _main, may only add, read anew 0 s ago
    5 per 1 minute, fixed-window cost=2 override_defaults=off  (/a/.htaccess:1)
    Files x.txt  (/a/.htaccess:3)
      7 per 1 hour, fixed-window scope=z override_defaults=off  (/a/.htaccess:3)
    If %{HTTP:X} == 'y'  (/a/.htaccess:6)
      9 per 1 day, fixed-window override_defaults=off  (/a/.htaccess:6)
END
is(seen(), $a, 'a file, and the sections in it') for 1 .. 4;

### Other files, another server, and what they may do

$httpd->advance(10);
$httpd->write('c/.htaccess', <<'END');
RateLimitExempt default application
END
$httpd->write('a/b/.htaccess', qq(RateLimit "3/second"\n));
$httpd->write('none/.htaccess', "RateLimitHeaders On\n");
get('/c/x.txt', 3);
get('/a/b/x.txt', 3, 2);
get('/none/x.txt', 3);
my $more = seen();
my $c = <<'END';
  /c/.htaccess  in _main, may override and exempt, read anew N s ago
    exempt: application default
END
my $b = <<'END';
  /a/b/.htaccess  in other, may only add, read anew N s ago
    3 per 1 second, gcra override_defaults=off  (/a/b/.htaccess:1)
END
$b = $a =~ s/_main/other/r =~ s/fixed-window/gcra/gr . $b;
is($more =~ s/anew \d+ s/anew N s/gr, "$a$c$b" =~ s/anew \d+ s/anew N s/gr,
   'by server; one that speaks of no limits is not there');
like($more, qr{^  /c/\.htaccess .* read anew 0 s ago}m, 'when it was read');

### Changes

$httpd->write('a/.htaccess', qq(RateLimit "6/minute"\n));
like(seen(), qr{^  /a/\.htaccess  in _main.*\n    6 per 1 minute,}m,
     'a changed file is shown as it is now');
$httpd->write('a/b/.htaccess', "# nothing\n");
unlink "$root/c/.htaccess" or die $!;
unlike(seen(), qr{/c/|/a/b/}, 'files that are gone or silent are not shown');
$httpd->write('c/.htaccess', qq(RateLimit "8/minute"\n));
get('/c/x.txt', 1);
like(seen(), qr{/c/\.htaccess.*\n    8 per 1 minute}, 'one that comes back is');

$httpd->write('w/.htaccess', qq(RateLimit "8/minute"\nRateLimitExempt\n));
is_deeply([ get('/w/x.txt', 1) ], [ 500 ], 'a file that is not allowed');
like(seen(), qr{^  /w/\.htaccess  in _main, wrong, .*
    answer: 500 Internal Server Error
    error: .*/w/\.htaccess: RateLimitExempt \(line 2\): not allowed}m,
     'a wrong one is shown as such');
my $mark = $httpd->mark;
seen();
is($httpd->error_log($mark), '', 'and looking at it is not logged');

### Restarts, and names

$httpd->graceful;
like(seen(), qr{/a/\.htaccess  in _main.*/c/\.htaccess}s,
     'a graceful restart keeps the list');
my $long = join '/', ('d' x 200) x 3;
$httpd->write("$long/.htaccess", qq(RateLimit "5/minute"\n));
$httpd->write("$long/x.txt", 'x');
get("/$long/x.txt", 5);
like(seen(), qr/^  and about 1 more, for which there was no room$/m,
     'a name that is too long is counted');
unlike(seen(), qr/d{200}/, 'and not shown');

my $bold = 'q<b>"&';
$httpd->write("$bold/.htaccess", qq(RateLimit "5/minute"\n));
$httpd->write("$bold/x.txt", 'x');
get('/q%3cb%3e%22&/x.txt', 1);
like(seen(), qr{/q<b>"&/\.htaccess}, 'a name is what it is in text');

### Many

for my $i (1 .. 700) {
    $httpd->write("m$i/.htaccess", qq(RateLimit "5/minute"\n));
    $httpd->write("m$i/x.txt", 'x');
}
my $client = $httpd->client;
$client->get("/m$_/x.txt") for 1 .. 700;
my $page = seen();
my $n = () = $page =~ m{^  /m\d+/\.htaccess}mg;
my ($left_out) = $page =~ /about (\d+) more/;
cmp_ok($n, '>', 400, "there is room for $n");
cmp_ok($n, '<=', 512, 'and no more');
cmp_ok(abs(700 + 1 - $n - $left_out), '<', 60, "the rest is counted: $left_out");

done_testing();
