# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# .htaccess: a file there can make things stricter, never laxer, and what is
# wrong in it is said in the log.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Plan;

### Limits are added, and nothing else changes

{
    my %file = map { ("$_/.htaccess" => '', "$_/x.txt" => 'x') }
        qw(free adds deep deep/in deep/in/side files shared);
    $file{'adds/.htaccess'} = "RateLimit 1/second\n";
    $file{'deep/.htaccess'} = "RateLimit 2/second\nRateLimitShared 3/second scope=x\n";
    $file{'deep/in/.htaccess'} = "RateLimit 4/second override_defaults=off\nRateLimit 5/minute methods=POST\n";
    $file{'files/.htaccess'} = <<'END';
<Files "x.txt">
    RateLimit 6/second key="%{HTTP_HOST}" cost=2 name=six error_message="six!"
    RateLimitHeaders On
</Files>
END
    my $httpd = RateLimit::Httpd->start(children => 1, files => \%file,
                                        conf => "LogLevel ratelimit_ext:debug\n" . <<'END');
RateLimitDefault 50/day
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/deep">
    RateLimit 7/minute
</Directory>
<Directory "@DOCROOT@/deep/in">
    RateLimit 8/minute override_defaults=off
</Directory>
<Location "/deep/in/side">
    RateLimit 9/minute
</Location>
END
    my $root = $httpd->docroot;
    my $plan = RateLimit::Plan->new($httpd);
    my $in = sub { "Htaccess $root/$_[0]/" };
    is_deeply($plan->of('/free/x.txt'), [ '50 per 1 day [-] from default' ],
              'an empty file');
    is_deeply($plan->of('/adds/x.txt'),
              [ "1 per 1 second [@{[$in->('adds')]}]", '50 per 1 day [-] from default' ],
              'a limit on top of the defaults');
    is($plan->endpoint, '-', 'which go on counting where they did');
    is_deeply($plan->of('/deep/x.txt'), [
        "2 per 1 second [@{[$in->('deep')]}]",
        "3 per 1 second [shared x] from @{[$in->('deep')]}",
        "7 per 1 minute [Directory $root/deep]" ],
        'what is overridden outside stays so');
    is($plan->endpoint, "Directory $root/deep", 'and its endpoint');
    my @deep = ("4 per 1 second [@{[$in->('deep/in')]}]",
                "2 per 1 second [@{[$in->('deep')]}]",
                "3 per 1 second [shared x] from @{[$in->('deep')]}");
    is_deeply($plan->of('/deep/in/x.txt'), [
        @deep,
        "8 per 1 minute [Directory $root/deep/in]",
        "7 per 1 minute [Directory $root/deep/in] from Directory $root/deep" ],
        'one file below another');
    is_deeply($plan->of('/deep/in/x.txt', method => 'POST'), [
        @deep,
        "5 per 1 minute [@{[$in->('deep/in')]}]",
        "8 per 1 minute [Directory $root/deep/in]",
        "7 per 1 minute [Directory $root/deep/in] from Directory $root/deep" ],
        'with a method');
    is_deeply($plan->of('/deep/in/side/x.txt'),
              [ @deep, '9 per 1 minute [Location /deep/in/side]' ],
              'an override from outside does not cut them off');
    is_deeply($plan->of('/files/x.txt'),
              [ "6 per 1 second [@{[$in->('files')]}, Files x.txt]",
                '50 per 1 day [-] from default' ], 'Files in .htaccess');
    is($plan->response->header('X-RateLimit-Limit'), 6, 'with fields');

    for my $case ([ 'RateLimit 1/second override_defaults=on',
                    'override_defaults=on is not allowed in .htaccess' ],
                  [ 'RateLimitExempt', 'not allowed in .htaccess' ],
                  [ 'RateLimitExempt Off', 'not allowed in .htaccess' ],
                  [ 'RateLimit 1/secnd', '"secnd" is not known' ],
                  [ 'RateLimit 1/second nope=1', 'option "nope" is not known' ],
                  [ 'RateLimitShared 1/second', 'scope= is missing' ],
                  [ 'RateLimit 1/second burst=2', 'strategy=gcra' ],
                  [ 'RateLimit 1001/day strategy=moving-window', 'in .htaccess 1000 is the most' ],
                  [ 'RateLimitShared 1001/day scope=x strategy=moving-window', 'in .htaccess 1000 is the most' ],
                  (map { my $limit = $_;
                         map { [ "<$limit GET>\n$_\n</$limit>", 'methods=' ] }
                         'RateLimit 1/second', 'RateLimitShared 1/second scope=x',
                         'RateLimitExempt', 'RateLimitHeaders On', 'RateLimitErrorBody json' }
                   'Limit', 'LimitExcept'),
                  [ 'RateLimitHeaders maybe', '"maybe" is not On' ],
                  [ 'RateLimitDefault 1/second', 'not allowed here' ],
                  [ 'RateLimitEngine Off', 'not allowed here' ],
                  [ 'RateLimitEndpoint x', 'not allowed here' ],
                  [ 'RateLimitStorage shm://', 'not allowed here' ],
                  [ 'RateLimitAllowOverride All', 'not allowed here' ],
                  # Wherever a file holds an expression, it reads no file.
                  (map { [ $_, 'is not a valid expression' ] }
                   'RateLimit 1/second key=%{file:/etc/passwd}',
                   'RateLimit 1/second scope=%{file:/etc/passwd}',
                   'RateLimitShared 1/second scope=%{file:/etc/passwd}',
                   'RateLimit 1/second cost=%{file:/etc/passwd}',
                   'RateLimit 1/second error_message=%{file:/etc/passwd}',
                   'RateLimit %{file:/etc/passwd}'),
                  [ q(RateLimit 1/second deduct_when="-f '/etc/passwd'"), 'is not a valid condition' ],
                  (map { [ qq(RateLimit 1/second exempt_when="$_"), 'is not a valid condition' ] }
                   q(file('/etc/passwd') =~ /root/), q(filesize('/etc/passwd') -gt 0),
                   q(-f '/etc/passwd'), q(-d '/etc'), q(-e '/etc/passwd'), q(-s '/etc/passwd'),
                   q(-L '/etc/passwd'), q(-x '/etc/passwd'))) {
        my ($line, $part) = @$case;
        $httpd->write('free/.htaccess', "$line\n");
        my $mark = $httpd->mark;
        is($httpd->client->get('/free/x.txt')->code, 500, ".htaccess: $line");
        my $log = $httpd->error_log($mark) =~ s/\\(["\\])/$1/gr;
        my ($directive) = $line =~ /(RateLimit\w*)/;
        like($log, qr/\.htaccess: $directive.*\Q$part\E/, 'says why');
    }
}

# AllowOverrideList lets through what AllowOverride would not.
{
    my $httpd = RateLimit::Httpd->start(children => 1, conf => <<'END');
<Directory "@DOCROOT@">
    AllowOverrideList RateLimitEngine RateLimitStorage RateLimitDefault RateLimitKey RateLimitEndpoint RateLimit RateLimitAllowOverride
</Directory>
END
    for my $line ('RateLimitEngine Off', 'RateLimitStorage shm://',
                  'RateLimitDefault 1/s', 'RateLimitKey x', 'RateLimitEndpoint x',
                  'RateLimitAllowOverride All') {
        $httpd->write('.htaccess', "$line\n");
        my $mark = $httpd->mark;
        is($httpd->client->get('/')->code, 500, "AllowOverrideList: $line");
        like($httpd->error_log($mark), qr/not allowed in \.htaccess/, 'says why');
    }
    $httpd->write('.htaccess', "RateLimit 1/hour\n");
    is($httpd->client->get('/')->code, 200, 'AllowOverrideList: a limit');
    is($httpd->client->get('/')->code, 429, 'counts');
}

done_testing();
