# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A .htaccess file is nobody's business but its own visitors': it loosens no
# limit from outside, takes from no counter of others, and costs little.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my $clients = 0;

# Ask for paths as a client that nobody has been yet, or as the one given.
sub codes {
    my ($httpd, $paths, %headers) = @_;
    $headers{'X-Forwarded-For'} //= sprintf '10.9.%d.%d', ++$clients / 256, $clients % 256;
    my $c = $httpd->client;
    return join ' ', map { $c->get($_, %headers)->code } @$paths;
}

my $trusted = <<'END';
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
END

### Counters, in a storage that knows them by number and in one that does by text

for my $storage ('shm://', 'toy://') {
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1,
                                        modules => ['ratelimit_toy'], files => {
        (map { ("$_/x" => 'x', "$_/y" => 'y') }
         qw(alice alice/sub bob split split/a split/b same admin)),
        'alice/.htaccess' => <<'END', 'bob/.htaccess' => <<'END2',
<Files "x">
    RateLimitShared 2/minute scope=pool
</Files>
<Files "y">
    RateLimitShared 2/minute scope=pool
</Files>
END
RateLimitShared 2/minute scope=pool
END2
        'split/.htaccess' => "RateLimit 90/minute\n",
        'split/a/.htaccess' => "RateLimit 91/minute\n<Files x>\nRateLimit 92/minute\n</Files>\n",
        'same/.htaccess' => "RateLimit 3/minute cost=3 name=tight\n",
    }, conf => "RateLimitStorage $storage\n" . $trusted . <<'END');
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Location "/admin">
    RateLimitShared 2/minute scope=pool
</Location>
<Directory "@DOCROOT@/split">
    RateLimit 4/minute
</Directory>
<Directory "@DOCROOT@/same">
    RateLimit 3/minute name=tight
</Directory>
END
    my $who = '10.8.0.1';
    is(codes($httpd, [qw(/alice/x /alice/y /alice/x /alice/sub/y)], 'X-Forwarded-For' => $who),
       '200 200 429 429', "$storage a shared scope is one over the tree of its file");
    is(codes($httpd, [qw(/bob/x /bob/y /bob/x)], 'X-Forwarded-For' => $who),
       '200 200 429', 'that of another file has the same name and is another');
    is(codes($httpd, [qw(/admin/x /admin/y /admin/x)], 'X-Forwarded-For' => $who),
       '200 200 429', 'and so is that of the server');
    is(codes($httpd, [qw(/split/x /split/a/x /split/a/y /split/b/x /split/b/y)]),
       '200 200 200 200 429', 'no file splits a counter from outside');
    is(codes($httpd, [qw(/same/x /same/y)]), '200 429',
       'a limit like that of the section around it');
    $httpd->write('same/.htaccess', '');
    is(codes($httpd, [('/same/x') x 4]), '200 200 200 429', 'and has a counter of its own');
}

### Whatever a file adds, the limit from outside stays what it is

{
    my @charges = qw(atomic in-order all);
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1, files => {
        map { ("$_/.htaccess" => '', "$_/x" => 'x') } @charges,
    }, conf => $trusted . <<'END' . join '', map { <<"SECTION" } @charges);
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
END
<Directory "\@DOCROOT\@/$_">
    RateLimit 3/minute name=ours
    RateLimitCharge $_
</Directory>
SECTION
    for my $file ('RateLimit 3/minute cost=0', 'RateLimit 3/minute name=ours cost=0',
                  'RateLimit 3/minute exempt_when=true', 'RateLimit 3/minute exempt_when=true phase=early',
                  'RateLimit 0/minute dry_run=on', 'RateLimit 3/minute name=ours dry_run=on',
                  'RateLimit 0/minute dry_run=on phase=early',
                  'RateLimit 3/minute methods=POST', 'RateLimit 9/minute key=%{req:X-None}',
                  'RateLimit 9/minute per_method=on scope=x', 'RateLimit "%{req:X-None}"',
                  'RateLimit 3/minute deduct_when=false', 'RateLimit 3/minute deduct_when=false reserve=on',
                  'RateLimit 9/minute status=503 error_message=x', 'RateLimit 9/minute strategy=gcra burst=9',
                  'RateLimitShared 9/minute scope=ours', 'RateLimitHeaders Off', 'RateLimitErrorBody off') {
        $httpd->write("$_/.htaccess", "$file\n") for @charges;
        my %got = map { $_ => codes($httpd, [ ("/$_/x") x 5 ]) } @charges;
        is_deeply(\%got, { map { $_ => '200 200 200 429 429' } @charges }, $file);
    }
    # And where it refuses, it is the file that says how.
    $httpd->write('atomic/.htaccess', "RateLimit 2/second status=503\n");
    is(codes($httpd, [ ('/atomic/x') x 4 ]), '200 200 503 503', 'a tighter limit');
    is(codes($httpd, ['/atomic/x'], 'X-Forwarded-For' => '10.5.0.1'), '200', 'for others');
}

### A file that refuses on purpose

{
    my $page = "RateLimit 0/second on_breach=/site/page.html status=404\n";
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1, files => {
        'site/.htaccess' => $page, 'site/x' => 'x', 'site/page.html' => 'what you want',
        'other/.htaccess' => "RateLimit 0/second on_breach=/site/page.html\n", 'other/x' => 'x',
        'doc/.htaccess' => "RateLimit 0/second\nErrorDocument 429 /doc/page.html\n",
        'doc/x' => 'x', 'doc/page.html' => 'what you want',
        'early/.htaccess' => $page =~ s/site/early/r =~ s/$/ phase=early/r,
        'early/x' => 'x', 'early/page.html' => 'what you want',
        'twice/.htaccess' => <<'END', 'twice/x' => 'x', 'twice/page.html' => 'what you want',
RateLimit 0/second on_breach=/twice/page.html
<Files "page.html">
    RateLimit 0/second key=%{HTTP_HOST}
</Files>
END
        'all/.htaccess' => $page =~ s/site/all/r, 'all/x' => 'x', 'all/page.html' => 'page',
        'guarded/.htaccess' => "RateLimit 0/second on_breach=/guard/page.html\n",
        'guarded/x' => 'x', 'guard/page.html' => 'what you want',
        'plain/.htaccess' => "RateLimit 0/second\n", 'plain/x' => 'x',
        'own/x' => 'x', 'own/page.html' => 'what you want',
    }, conf => $trusted . <<'END');
LogLevel ratelimit_ext:info
RateLimitDefault "3 per minute"
RateLimitApplication "5 per hour"
<Directory "@DOCROOT@">
    AllowOverride Limit FileInfo
</Directory>
<Location "/all">
    RateLimitAllowOverride All
</Location>
<Location "/guard">
    RateLimit 2/minute phase=early
    RateLimit 4/minute deduct_when="%{REQUEST_STATUS} -eq 429"
</Location>
<Location "/own">
    RateLimit 0/second override_defaults=off on_breach=/own/page.html
</Location>
END
    my $bodies = sub {
        my ($path, $n, $who) = @_;
        my $c = $httpd->client;
        my @r = map { $c->get($path, 'X-Forwarded-For' => $who) } 1 .. $n;
        return (join(' ', map { $_->body =~ /what you want/ ? 'page' : '-' } @r),
                join(' ', map { $_->code } @r));
    };
    is_deeply([ $bodies->('/site/x', 5, '10.7.0.1') ],
              [ 'page page page - -', '404 404 404 404 404' ],
              'its error document counts as a request for limits from outside');
    is(codes($httpd, ['/own/none'], 'X-Forwarded-For' => '10.7.0.1'), '429', 'of any kind');
    $httpd->advance(60);
    is_deeply([ $bodies->('/site/x', 3, '10.7.0.1') ],
              [ 'page page -', '404 404 404' ], 'also application limits: two were left');
    is_deeply([ $bodies->('/other/x', 4, '10.7.0.2') ],
              [ 'page page page -', '429 429 429 429' ], 'in another directory');
    is_deeply([ $bodies->('/early/x', 4, '10.7.0.8') ],
              [ 'page page page -', '404 404 404 404' ], 'refused before access control');
    is_deeply([ $bodies->('/doc/x', 4, '10.7.0.3') ],
              [ 'page page page -', '429 429 429 429' ], 'by ErrorDocument');
    is_deeply([ $bodies->('/guarded/x', 4, '10.7.0.9') ],
              [ 'page page - -', '429 429 429 429' ], 'to where limits come early');
    is_deeply([ $bodies->('/twice/x', 4, '10.7.0.4') ],
              [ 'page page page -', '429 429 429 429' ],
              'what files add does not refuse it again');
    my ($got) = $bodies->('/own/x', 5, '10.7.0.5');
    is($got, 'page page page page page', 'the error document of a refusal by the server is never refused');
    is($httpd->client->get('/all/x', 'X-Forwarded-For' => '10.7.0.6')->body, 'page', 'All') for 1 .. 4;
    # A refusal without one took nothing, as ever.
    is(codes($httpd, [ ('/plain/x') x 4, ('/none') x 4 ], 'X-Forwarded-For' => '10.7.0.7'),
       '429 429 429 429 404 404 404 429', 'without an error document nothing is taken');
}

### Meta limits

{
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1, files => {
        (map { ("$_/x" => 'x') } qw(closed free both all)),
        'closed/.htaccess' => "RateLimit 0/hour\n",
        'both/.htaccess' => "RateLimit 0/second\n",
        'all/.htaccess' => "RateLimit 0/hour\n",
    }, conf => $trusted . <<'END');
RateLimitMeta "2 per hour"
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Location "/both">
    RateLimit 0/minute
</Location>
<Location "/all">
    RateLimitAllowOverride All
</Location>
END
    is(codes($httpd, [ ('/closed/x') x 4, '/free/x' ]), '429 429 429 429 200',
       'what a file refuses shuts nobody out of the server');
    is(codes($httpd, [ ('/both/x') x 2, '/free/x' ]), '429 429 429',
       'what the server refuses as well does');
    is(codes($httpd, [ ('/all/x') x 2, '/free/x' ]), '429 429 429', 'and what a file under All does');
}

### Memory and time

{
    my @many = map { "RateLimit ${_}000/day\n" } 1 .. 40;
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1, files => {
        (map { ("$_/x" => 'x', "$_/.htaccess" => '') } qw(many many/in moving exact given)),
        'given/.htaccess' => qq(RateLimit "%{req:X-Plan}" strategy=moving-window\n),
        'moving/.htaccess' => qq(RateLimit 1001/minute cost=1001\n),
        'exact/.htaccess' => qq(RateLimit 1000/minute cost=1000\n),
    }, conf => $trusted . <<'END');
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Location "/moving">
    RateLimitStrategy moving-window
</Location>
<Location "/exact">
    RateLimitStrategy moving-window
</Location>
END
    my $try = sub {
        my $mark = $httpd->mark;
        my $code = $httpd->client->get($_[0])->code;
        return ($code, join "\n", grep { /:alert\]/ } split /\n/, $httpd->error_log($mark));
    };
    $httpd->write('many/.htaccess', join '', @many[0 .. 31]);
    is_deeply([ $try->('/many/x') ], [ 200, '' ], '32 limits');
    $httpd->write('many/.htaccess', join '', @many[0 .. 32]);
    my ($code, $log) = $try->('/many/x');
    is($code, 500, '33 limits');
    like($log, qr{/many/\.htaccess: too many limits in \.htaccess: for this request there are 33, and 32 are the most},
         'says why');
    $httpd->write('many/.htaccess', 'RateLimit "' . join(',', map { "$_/day" } 1 .. 32) . "\"\n");
    is(($try->('/many/x'))[0], 200, '32 in one string');
    $httpd->write('many/in/.htaccess', "RateLimit 1/day\n");
    is(($try->('/many/in/x'))[0], 500, 'one more in a file below');
    $httpd->write('many/.htaccess', join('', @many[0 .. 19])
                  . "<Files \"y\">\n" . join('', @many[20 .. 39]) . "</Files>\n");
    is(($try->('/many/x'))[0], 200, 'of Files those that are met count');
    is(($try->('/many/y'))[0], 500, 'and 40 are too many');
    $httpd->write('many/.htaccess', qq(RateLimit "%{req:X-Plan}"\n) x 8);
    is(($try->('/many/x'))[0], 200, '8 expressions');
    $httpd->write('many/.htaccess', qq(RateLimit "%{req:X-Plan}"\n) x 9);
    is(($try->('/many/x'))[0], 500, '9 expressions');

    my $plan = sub {
        my ($limits, $n) = @_;
        my $mark = $httpd->mark;
        my $got = codes($httpd, [ ('/given/x') x $n ], 'X-Plan' => $limits);
        my @said = grep { /RLX0030/ } split /\n/, $httpd->error_log($mark);
        return ($got, scalar @said, $said[0] // '');
    };
    is_deeply([ $plan->('1/m,9/h,9/d,9/w', 2) ], [ '200 429', 0, '' ], 'an expression that gives four');
    my ($got, $lines, $line) = $plan->('1/m,9/h,9/d,9/w,9/y', 2);
    is("$got, $lines", '200 200, 1', 'five hold for no request, and are logged once');
    like($line, qr/in \.htaccess it may give up to 4 limits/, 'says why');
    is_deeply([ $plan->('1000/d', 1) ], [ '200', 0, '' ], 'a log of 1000');
    ($got, $lines, $line) = $plan->('1001/d', 2);
    is("$got, $lines", '200 200, 1', 'no longer log');
    like($line, qr/"1001 per 1 day\\?" as a moving-window .* in \.htaccess 1000 is the most/, 'says why');

    # moving-window: what was charged leaves after a minute. In two windows it
    # weighs on until the second one has passed.
    my %who = ('X-Forwarded-For' => '10.6.0.1');
    is(codes($httpd, [qw(/moving/x /moving/x /exact/x /exact/x)], %who), '200 429 200 429', 'all taken');
    $httpd->advance(60);
    is(codes($httpd, ['/exact/x'], %who), '200', 'RateLimitStrategy moving-window, as far as 1000');
    is(codes($httpd, ['/moving/x'], %who), '429', 'past it two numbers are kept');
    $httpd->advance(60);
    is(codes($httpd, ['/moving/x'], %who), '200', 'as sliding-window-counter does');
}

### What a child remembers of files

{
    my $httpd = RateLimit::Httpd->start(children => 1, faketime => 1, files => {
        'a/.htaccess' => '', 'a/x' => 'x', 'a/y' => 'y',
    }, conf => $trusted . <<'END');
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<VirtualHost *:@PORT@>
    DocumentRoot "@DOCROOT@"
</VirtualHost>
<VirtualHost *:@PORT2@>
    DocumentRoot "@DOCROOT@"
</VirtualHost>
END
    my $set = sub { $httpd->write('a/.htaccess', $_[0]) };
    my $four = [ ('/a/x') x 4 ];
    for (1 .. 2) {
        $set->("RateLimit 2/minute\n");
        is(codes($httpd, $four), '200 200 429 429', 'a line');
        $set->("RateLimit 3/minute\n");
        is(codes($httpd, $four), '200 200 200 429', 'another in its place');
        $set->("RateLimit 3/minute methods=POST\n");
        is(codes($httpd, $four), '200 200 200 200', 'with an option');
        $set->("\nRateLimit 2/minute\n");
        is(codes($httpd, $four), '200 200 429 429', 'a line further down');
        $set->("RateLimitShared 2/minute scope=s\n");
        is(codes($httpd, $four), '200 200 429 429', 'of another directive');
        $set->("RateLimit 2/fortnight\n");
        is(codes($httpd, $four), '500 500 500 500', 'a wrong one');
        $set->('');
        is(codes($httpd, $four), '200 200 200 200', 'none');
        $set->("<Files y>\nRateLimit 1/minute\n</Files>\n");
        is(codes($httpd, [qw(/a/x /a/y /a/x /a/y)]), '200 200 200 429', 'in Files');
        $set->("<Files x>\nRateLimit 1/minute\n</Files>\n");
        is(codes($httpd, [qw(/a/x /a/y /a/x /a/y)]), '200 200 429 200', 'in others');
        $set->(qq(RateLimit 2/minute key=%{req:X-Who} exempt_when="%{req:X-Free} == 'yes'"\n));
        my $who = "who$_";
        is(codes($httpd, [ ('/a/x') x 3 ], 'X-Who' => $who), '200 200 429', 'expressions');
        is(codes($httpd, ['/a/x'], 'X-Who' => "other$_"), '200', 'for each request');
        is(codes($httpd, ['/a/x'], 'X-Who' => $who, 'X-Free' => 'yes'), '200', 'conditions');
        is(codes($httpd, ['/a/x'], 'X-Who' => $who, 'X-Free' => 'no'), '429', 'too');
        $httpd->advance(60);
    }
    $set->("RateLimitShared 2/minute scope=s\nRateLimit 7/minute key=b\n");
    my @codes = map { [ map { $_->code } $httpd->client($_)->get('/a/x'),
                        $httpd->client($_)->get('/a/x'), $httpd->client($_)->get('/a/x') ] } 1, 2;
    is_deeply(\@codes, [ [ 200, 200, 429 ], [ 200, 200, 429 ] ],
              'the same file in two virtual hosts has counters of each');
    # More lines than are remembered.
    for my $round (1 .. 40) {
        $set->(join '', map { "RateLimit ${round}0$_/year\n" } 1 .. 32);
        codes($httpd, ['/a/x']) eq '200' or fail("round $round");
    }
    $set->("RateLimit 2/hour\nRateLimit 3/hour\n");
    is(codes($httpd, $four), '200 200 429 429', 'the rest is read each time') for 1 .. 2;
    my %got = %{ $httpd->client->parallel(8, 40, '/a/x') };
    is_deeply(\%got, { 200 => 2, 429 => 38 }, 'by several threads');
}

done_testing();
