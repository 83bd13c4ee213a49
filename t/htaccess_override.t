# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# RateLimitAllowOverride: what a .htaccess file may do under None, Add and
# All, which of them holds for a file, and what All makes of its contents.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Plan;

# The lines of the error log that say what a file may not do, and httpd's own
# about .htaccess.
sub said {
    my ($httpd, $mark) = @_;
    my $log = $httpd->error_log($mark) =~ s/\\(["\\])/$1/gr;
    return grep { /:alert\]/ } split /\n/, $log;
}

# Get a path: its status, and what was said about files.
sub try {
    my ($httpd, $path, %headers) = @_;
    my $mark = $httpd->mark;
    my $code = $httpd->client->get($path, %headers)->code;
    return ($code, said($httpd, $mark));
}

### Every directive of the module, under every value

{
    # In the order of the table in directives.c; the first to accept it, or
    # what the log says whatever is allowed.
    my @matrix = (
        [ 'RateLimit 50/second', 'Add' ],
        [ 'RateLimit 50/second override_defaults=off', 'Add' ],
        [ 'RateLimit 50/second override_defaults=on', 'All',
          'RateLimit (line 2): override_defaults=on is not allowed in .htaccess' ],
        [ 'RateLimitShared 50/second scope=x', 'Add' ],
        [ 'RateLimitShared 50/second scope=x override_defaults=on', 'All',
          'RateLimitShared (line 2): override_defaults=on is not allowed in .htaccess' ],
        [ 'RateLimitExempt', 'All', 'RateLimitExempt (line 2): not allowed in .htaccess' ],
        [ 'RateLimitExempt Off', 'All', 'RateLimitExempt (line 2): not allowed in .htaccess' ],
        [ 'RateLimitExempt All', 'All', 'RateLimitExempt (line 2): not allowed in .htaccess' ],
        [ 'RateLimitExempt meta', 'All', 'RateLimitExempt (line 2): not allowed in .htaccess' ],
        [ 'RateLimitHeaders On', 'Add' ],
        [ 'RateLimitErrorBody json', 'Add' ],
        (map { [ $_ ] }
         'RateLimitEngine Off', 'RateLimitStorage shm://', 'RateLimitStorageFailure deny', 'RateLimitFallback 1/s',
         'RateLimitKeyPrefix x',
         'RateLimitStrategy gcra', 'RateLimitKey x', 'RateLimitKeyDisplay plain',
         'RateLimitIPv6Prefix 64', 'RateLimitApplication 1/s', 'RateLimitDefault 1/s',
         'RateLimitMeta 1/s', 'RateLimitRequestFilter true', 'RateLimitEndpoint x',
         'RateLimitCharge all', 'RateLimitStatus 503', 'RateLimitHeaderName limit X-L',
         'RateLimitRetryAfter http-date', 'RateLimitOnBreach /x', 'RateLimitStatusControl On',
         'RateLimitAllowOverride All'),
    );
    my ($table) = do { local (@ARGV, $/) = "$FindBin::Bin/../src/http/directives.c"; <> }
        =~ /rlx_directives\[\] = \{(.*?)^\};/ms;
    my %tried = map { $_->[0] =~ /^(\w+)/ => 1 } @matrix;
    is_deeply([ grep { !$tried{$_} } $table =~ /"(RateLimit\w*)"/g ], [], 'every directive is tried');

    my $httpd = RateLimit::Httpd->start(children => 1, files => {
        map { ("$_/.htaccess" => '', "$_/x" => 'x') } qw(unset none add all)
    }, conf => <<'END');
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/none">
    RateLimitAllowOverride None
</Directory>
<Directory "@DOCROOT@/add">
    RateLimitAllowOverride Add
</Directory>
<Directory "@DOCROOT@/all">
    RateLimitAllowOverride all
</Directory>
END
    my $none = 'not allowed in .htaccess: RateLimitAllowOverride is None';
    for my $case (@matrix) {
        my ($line, $from, $words) = @$case;
        my ($directive) = $line =~ /^(\w+)/;
        my %code = map { $_ => 500 } qw(unset none add all);
        $code{all} = 200 if $from;
        $code{add} = $code{unset} = 200 if ($from // '') eq 'Add';
        for my $dir (sort keys %code) {
            $httpd->write("$dir/.htaccess", "# first line\n$line\n");
            my ($code, @said) = try($httpd, "/$dir/x");
            is($code, $code{$dir}, "$dir: $line");
            is(@said, $code == 500 ? 1 : 0, 'one line if it is wrong');
            next if $code != 500;
            my $why = !$from ? "$directive not allowed here"
                    : $dir eq 'none' ? "$directive (line 2): $none"
                    : $words;
            like($said[0], qr{/$dir/\.htaccess: \Q$why\E}, 'which says what is wrong');
            next if !$from;
            my $by = $dir eq 'unset' ? 'Add (the default), which accepts limits'
                   : $dir eq 'add' ? 'Add (' . $httpd->dir . '/httpd.conf:' : 'None (';
            like($said[0], qr/ RateLimitAllowOverride is \Q$by\E/, 'and who says so');
        }
    }
    # What is wrong anyway is wrong where nothing would be allowed, too.
    for my $dir (qw(none add all)) {
        $httpd->write("$dir/.htaccess", "RateLimit 1/fortnight\n");
        my ($code, @said) = try($httpd, "/$dir/x");
        is($code, 500, "$dir: a wrong line");
        like($said[0], qr/RateLimit: .*"fortnight" is not known/, 'says why');
    }
    # A file without a directive of the module, and none at all.
    $httpd->write('none/.htaccess', "LimitRequestBody 1000\n");
    is_deeply([ try($httpd, '/none/x') ], [ 200 ], 'None: a file of other modules');
    unlink $httpd->docroot . '/none/.htaccess';
    is_deeply([ try($httpd, '/none/x') ], [ 200 ], 'None: no file');
}

### Which value holds for a file

{
    my @dirs = qw(a a/b a/b/c w/x/y w/x/y/z match loc inif files nest off dry stops);
    my $httpd = RateLimit::Httpd->start(
        children => 1, modules => [qw(negotiation)],
        files => { (map { ("$_/.htaccess" => '', "$_/x" => 'x') } @dirs),
                   'index/x' => 'x', 'index/in/go.html' => 'index',
                   'multi/page.txt' => 'multi', 'parts/page.html' => 'x' },
        conf => <<'END');
LogLevel ratelimit_ext:debug
RateLimitAllowOverride None
RateLimitDefault 100/day
<Directory "@DOCROOT@">
    AllowOverride Limit Indexes Options
    Options +MultiViews +FollowSymLinks
    AddType text/plain .txt
</Directory>
# Not in the order of their depth: httpd sees to that.
<Directory "@DOCROOT@/a/b">
    RateLimitAllowOverride All
</Directory>
<Directory "@DOCROOT@/a">
    RateLimitAllowOverride Add
</Directory>
<Directory "@DOCROOT@/a/b/c">
    RateLimitAllowOverride None
</Directory>
<Directory "@DOCROOT@/w/*/y">
    RateLimitAllowOverride All
</Directory>
<DirectoryMatch "/match/">
    RateLimitAllowOverride Add
</DirectoryMatch>
<Directory ~ "/tilde/">
    RateLimitAllowOverride Add
</Directory>
<Location "/loc">
    RateLimitAllowOverride Add
</Location>
<If "%{HTTP:X-Trusted} == 'yes'">
    RateLimitAllowOverride All
</If>
<Files "allowed">
    RateLimitAllowOverride Add
</Files>
<Directory "@DOCROOT@/nest">
    RateLimitAllowOverride Add
    <Files "x">
        RateLimitAllowOverride None
    </Files>
</Directory>
<Location "/off">
    RateLimitEngine Off
</Location>
<Location "/dry">
    RateLimitEngine DryRun
</Location>
<VirtualHost *:@PORT2@>
    DocumentRoot "@DOCROOT@"
    RateLimitAllowOverride Add
</VirtualHost>
END
    my $add = "RateLimit 70/hour\n";
    my $all = "RateLimitExempt\n";
    my $code = sub { (try($httpd, @_))[0] };
    my $set = sub { $httpd->write("$_[0]/.htaccess", $_[1]) };

    $set->(a => $add);
    is($code->('/a/x'), 200, 'a section for the directory before the server');
    is($code->('/a/b/x'), 200, 'also for what is below');
    is($code->('/a/b/c/x'), 200, 'whatever is said there: the file is further out');
    $set->(a => $all);
    is($code->('/a/x'), 500, 'the section says Add');
    is($code->('/a/b/x'), 500, 'All further in is not for a file further out');
    $set->(a => '');
    $set->('a/b' => $all);
    is($code->('/a/b/x'), 200, 'but for its own');
    is($code->('/a/b/c/x'), 200, 'which holds where the next says None');
    $set->('a/b/c' => $add);
    my ($status, @said) = try($httpd, '/a/b/c/x');
    is($status, 500, 'a file of its own there');
    is(@said, 1, 'one line');
    like($said[0], qr{/a/b/c/\.htaccess: RateLimit \(line 1\): not allowed in \.htaccess}, 'names it');
    is($code->('/a/b/x'), 200, 'is nothing to those above');
    $set->('a/b/c' => '');
    # In <Files> and <If> of a file the file's own depth counts.
    $set->('a/b' => '');
    for my $block ([ '<Files "x">', '</Files>' ], [ '<If "true">', '</If>' ],
                   [ '<Files "y">', '</Files>' ], [ '<If "false">', '</If>' ],
                   [ "<Files \"x\">\n<If \"true\">", "</If>\n</Files>" ],
                   [ "<Files \"y\">\n<If \"false\">", "</If>\n</Files>" ]) {
        my $shown = $block->[0] =~ s/\n/ /r;
        $set->(a => "$block->[0]\n$all$block->[1]\n");
        is($code->('/a/b/x'), 500, "$shown of a file, All further in");
        is($code->('/a/x'), 500, "$shown, whether or not the request meets it");
        $set->(a => "$block->[0]\n$add$block->[1]\n");
        is($code->('/a/b/x'), 200, "$shown: what is allowed");
    }
    $set->(a => '');

    $set->('w/x/y' => $all);
    is($code->('/w/x/y/z/x'), 200, 'a section with a wildcard');
    $set->('w/x' => $add);
    is($code->('/w/x/y/x'), 500, 'for its own depth');
    $set->('w/x' => '');

    $set->(match => $add);
    is($code->('/match/x'), 200, 'DirectoryMatch');
    $set->('tilde' => $add);
    $httpd->write('tilde/x', 'x');
    is($code->('/tilde/x'), 200, 'Directory ~');
    $set->(loc => $add);
    is($code->('/loc/x'), 200, 'Location overrules');
    $set->(loc => $all);
    is($code->('/loc/x'), 500, 'also what it does not say');
    $set->(inif => $all);
    is($code->('/inif/x'), 500, 'If: not for this request');
    is($code->('/inif/x', 'X-Trusted' => 'yes'), 200, 'If: for this one');
    $set->('a/b/c' => $add);
    is($code->('/a/b/c/x', 'X-Trusted' => 'yes'), 200, 'If overrules Directory');
    $set->('a/b/c' => '');
    $httpd->write('files/allowed', 'x');
    $set->(files => $add);
    is($code->('/files/x'), 500, 'Files: another file');
    is($code->('/files/allowed'), 200, 'Files overrules');
    $set->(nest => $add);
    is($code->('/nest/x'), 500, 'Files in Directory');
    $httpd->write('nest/y', 'x');
    is($code->('/nest/y'), 200, 'and for others Directory');

    $set->(stops => $add);
    is($code->('/stops/x'), 500, 'the main server says None');
    is($httpd->client(2)->get('/stops/x')->code, 200, 'a virtual host of its own');
    $set->(stops => $all);
    is($httpd->client(2)->get('/stops/x')->code, 500, 'but that says Add');

    # A wrong file is wrong whether or not limits are enforced.
    $set->(off => $add);
    $set->(dry => $add);
    is($code->('/off/x'), 500, 'RateLimitEngine Off');
    is($code->('/dry/x'), 500, 'RateLimitEngine DryRun');
    is($httpd->client(2)->get('/off/x')->code, 200, 'a right one is read, and idle');

    # What leads there: DirectoryIndex, MultiViews, an internal redirect.
    $httpd->write('index/.htaccess', "DirectoryIndex in/go.html\n");
    is($code->('/index/'), 200, 'DirectoryIndex to a directory below');
    $set->('index/in' => $add);
    is($code->('/index/in/go.html'), 500, 'with a file that is not allowed');
    is($code->('/index/'), 500, 'also by DirectoryIndex');
    is($code->('/index/x'), 200, 'and not for others');
    is($code->('/multi/page'), 200, 'MultiViews');
    $httpd->write('multi/.htaccess', "<Files \"page.txt\">\n$add</Files>\n");
    is($code->('/multi/page'), 500, 'to a file that is not allowed');
    $httpd->write('parts/.htaccess', "FallbackResource /stops/x\n");
    is($code->('/parts/none'), 500, 'an internal redirect');
    is($code->('/parts/page.html'), 200, 'and not without it');
}

### What All makes of a file

{
    my %file = map { ("$_/.htaccess" => '', "$_/x" => 'x') }
        qw(over over/in over/in/side beside part exempt exempt/in deep deep/in
           own own/loc own/adds own/adds/all post);
    $file{'over/.htaccess'} = "RateLimit 1/second override_defaults=on\n";
    $file{'over/in/.htaccess'} = "RateLimit 2/second\n";
    $file{'beside/.htaccess'} = "RateLimit 3/second\n";
    $file{'part/.htaccess'} = "<Files \"x\">\nRateLimit 4/second override_defaults=on\n</Files>\n";
    $file{'part/y'} = 'y';
    $file{'exempt/.htaccess'} = "RateLimitExempt default application ancestors\n";
    $file{'exempt/in/.htaccess'} = "RateLimit 5/second\n";
    $file{'deep/.htaccess'} = "RateLimitExempt All\nRateLimit 6/second\n";
    $file{'deep/in/.htaccess'} = "RateLimit 7/second\n";
    $file{'own/.htaccess'} = "RateLimit 8/second\n";
    $file{'own/adds/.htaccess'} = "RateLimit 9/second\n";
    $file{'own/adds/all/.htaccess'} = "RateLimit 10/second override_defaults=on\n";
    $file{'post/.htaccess'} = "RateLimit 11/second override_defaults=on methods=POST\n";
    my $httpd = RateLimit::Httpd->start(children => 1, files => \%file, conf => <<'END');
LogLevel ratelimit_ext:debug
RateLimitAllowOverride All
RateLimitDefault 50/day
RateLimitApplication 60/hour
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/over">
    RateLimit 70/minute
</Directory>
<Location "/over/in/side">
    RateLimit 71/minute
</Location>
<Directory "@DOCROOT@/exempt">
    RateLimit 72/minute override_defaults=off
</Directory>
<Location "/own/loc">
    RateLimit 73/minute
</Location>
<Directory "@DOCROOT@/own/adds">
    RateLimitAllowOverride Add
</Directory>
<Directory "@DOCROOT@/own/adds/all">
    RateLimitAllowOverride All
</Directory>
END
    my $root = $httpd->docroot;
    my $plan = RateLimit::Plan->new($httpd);
    my $file = sub { "Htaccess $root/$_[0]/" };
    my $app = '60 per 1 hour [application]';
    my $default = '50 per 1 day [-] from default';

    is_deeply($plan->of('/over/x'), [ "1 per 1 second [@{[$file->('over')]}]", $app ],
              'override_defaults=on: sections and defaults are cut off, application limits stay');
    is($plan->endpoint, "Directory $root/over", 'the endpoint is what it would be without the file');
    is_deeply($plan->of('/over/in/x'), [
        "2 per 1 second [@{[$file->('over/in')]}]",
        "1 per 1 second [@{[$file->('over')]}]", $app ],
        'a nested file sees it as an enclosing section; off is the default there');
    is_deeply($plan->of('/over/in/side/x'), [ "71 per 1 minute [Location /over/in/side]", $app ],
              'a section further in cuts off files');
    is_deeply($plan->of('/beside/x'), [ "3 per 1 second [@{[$file->('beside')]}]", $app, $default ],
              'without on it is added');
    is_deeply($plan->of('/part/x'), [ "4 per 1 second [@{[$file->('part')]}, Files x]", $app ],
              'Files in a file');
    is_deeply($plan->of('/part/y'), [ $app, $default ], 'and the file beside it');
    is_deeply($plan->of('/exempt/x'), [], 'an exemption');
    is_deeply($plan->of('/exempt/in/x'), [
        "5 per 1 second [@{[$file->('exempt/in')]}]",
        "72 per 1 minute [Directory $root/exempt]", $app,
        "50 per 1 day [Directory $root/exempt] from default" ],
        'is not for a nested file that speaks of limits');
    is_deeply($plan->of('/deep/x'), [ "6 per 1 second [@{[$file->('deep')]}]" ],
              'All, and own limits');
    is_deeply($plan->of('/deep/in/x'), [ "7 per 1 second [@{[$file->('deep/in')]}]" ],
              'is for nested files too, without the limits beside it');
    is_deeply($plan->of('/own/loc/x'), [ '73 per 1 minute [Location /own/loc]', $app ],
              'Location is further in than any file');
    is_deeply($plan->of('/own/adds/x'), [
        "9 per 1 second [@{[$file->('own/adds')]}]", "8 per 1 second [@{[$file->('own')]}]",
        $app, $default ], 'a file that may only add within');
    is_deeply($plan->of('/own/adds/all/x'), [
        "9 per 1 second [@{[$file->('own/adds')]}]",
        "10 per 1 second [@{[$file->('own/adds/all')]}]", $app ],
        'what was added is cut off by none');
    is_deeply($plan->of('/post/x'), [ $app, $default ], 'methods= that do not match');
    is_deeply($plan->of('/post/x', method => 'POST'),
              [ "11 per 1 second [@{[$file->('post')]}]", $app ], 'and that do');
}

done_testing();
