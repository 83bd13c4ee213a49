# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Who waits as long as Retry-After says is served, whatever a refused request
# was charged to, and however many limits it has.
#
# mpm: any
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my @modes = qw(atomic in-order all);

# More limits than a storage is asked for at once; all in one place.
my $many = join '', map { qq(    RateLimit "90 per $_ seconds"\n) } 101 .. 180;

my $conf = "RateLimitHeaders ietf\n";
for my $mode (@modes) {
    $conf .= <<"END" for @strategies;
<Location "/$mode/$_">
    RateLimit "2 per 7 seconds; 5 per 20 seconds; 8 per 61 seconds"
    RateLimitStrategy $_
    RateLimitCharge $mode
</Location>
END
    $conf .= <<"END";
<Location "/many/$mode">
    RateLimit "2 per second"
$many    RateLimitCharge $mode
</Location>
END
}
# What is charged before, in another phase or before DirectoryIndex, counts too.
for my $mode (@modes) {
    $conf .= <<"END";
<Location "/phases/$mode">
    RateLimit "2 per 20 seconds; 5 per 61 seconds" phase=early
    RateLimit "1 per 3 seconds"
    RateLimitCharge $mode
</Location>
<Directory "\@DOCROOT\@/index/$mode">
    RateLimit "2 per 20 seconds; 5 per 61 seconds"
    RateLimitCharge $mode
</Directory>
END
}
$conf .= <<"END";
# No longer than any Retry-After: who is refused before DirectoryIndex is not told of it.
<Files "index.html">
    RateLimit "1 per second" override_defaults=off
    RateLimitEndpoint index
</Files>
END
my $h = RateLimit::Httpd->start(conf => $conf, faketime => 1, children => 1, files => {
    map { ("phases/$_/index.html" => 'p', "index/$_/index.html" => 'i') } @modes });
my $c = $h->client;

# Requests at times by chance; each that is refused waits and comes again.
sub early {
    my ($path) = @_;
    my $early = '';
    for (1 .. 150) {
        my $r = $c->get($path);
        if ($r->code == 429) {
            my $wait = $r->header('Retry-After');
            $h->advance($wait);
            $early ||= "refused after $wait s" if $c->get($path)->code == 429;
        }
        $h->advance(rand 3) if rand() < 0.7;
    }
    return $early;
}

diag 'seed ', srand();
for my $mode (@modes) {
    is(early("/$mode/$_"), '', "$mode, $_: Retry-After is enough to wait")
        for @strategies;
    is(early("/phases/$mode/none"), '', "$mode, in two phases");
    is(early("/index/$mode/"), '', "$mode, before DirectoryIndex and behind it");
}

# What is left of three of eighty-one limits after two requests that pass and
# two that the first limit refuses.
sub left_of_many {
    my ($mode) = @_;
    $h->advance(1000);
    my @codes = map { $c->get("/many/$mode")->code } 1 .. 3;
    my $r = $c->get("/many/$mode");
    my @left = $r->header('RateLimit') =~ /;r=(\d+)/g;
    return join ' ', @codes, $r->code, @left[1, 63, 64, 80];
}
my $refused = '404 404 429 429';
is(left_of_many('atomic'), "$refused 88 88 88 88",
   'atomic: a refusal is charged to none of many limits');
is(left_of_many('in-order'), "$refused 88 88 88 88",
   'in-order: nor to those behind the one that refuses');
is(left_of_many('all'), "$refused 86 86 86 86", 'all: to those with room');

### Others have their say: the latest is kept, and there is one field

my $mpm = $ENV{MPM} || 'event';
my $o = RateLimit::Httpd->start(
    faketime => 1, modules => [$mpm eq 'prefork' ? 'cgi' : 'cgid'],
    conf => <<'END');
<Directory "@DOCROOT@/cgi">
    Options +ExecCGI
    SetHandler cgi-script
</Directory>
<Location "/">
    RateLimit "0/minute"
</Location>
<Location "/document/later">
    ErrorDocument 429 /cgi/later
</Location>
<Location "/document/earlier">
    ErrorDocument 429 /cgi/earlier
</Location>
<Location "/document/date">
    ErrorDocument 429 /cgi/date
</Location>
<Location "/document/both">
    ErrorDocument 429 /cgi/both
</Location>
<Location "/document/nonsense">
    ErrorDocument 429 /cgi/nonsense
</Location>
<Location "/breach">
    RateLimit "0/minute" on_breach=/cgi/later
    RateLimitRetryAfter http-date
</Location>
<Location "/always/later">
    Header always set Retry-After 500
</Location>
<Location "/always/earlier">
    Header always set Retry-After 5
</Location>
<Location "/named">
    RateLimitHeaderName retry-after X-Again
    Header always set Retry-After 500
</Location>
END
my %says = (later => '999', earlier => '7', date => 'Fri, 15 Jan 2027 08:10:00 GMT',
            nonsense => 'soon, -5, 99999999999999999999, Fri, 1',
            both => "70\\nRetry-After: Fri, 15 Jan 2027 08:02:00 GMT");
for my $name (keys %says) {
    chmod 0755, $o->write("cgi/$name", "#!/bin/sh\nprintf "
        . "'Retry-After: $says{$name}\\nContent-Type: text/plain\\n\\nx'");
}
my $asker = $o->client;
for my $case (['/document/later', '999'], ['/document/earlier', '60'],
              ['/document/date', 'Fri, 15 Jan 2027 08:10:00 GMT'],
              ['/document/both', 'Fri, 15 Jan 2027 08:02:00 GMT'],
              ['/document/nonsense', '60'],
              ['/breach', '999'], ['/always/later', '500'],
              ['/always/earlier', '60'], ['/plain', '60']) {
    my ($path, $expected) = @$case;
    my $answer = $asker->get($path);
    is($answer->code, 429, "$path: refused");
    is_deeply([$answer->all('Retry-After')], [$expected], 'one Retry-After');
}
is_deeply([map { $asker->get('/named')->all($_) } qw(X-Again Retry-After)], [60, 500],
          'RateLimitHeaderName: another field is another matter');

done_testing;
