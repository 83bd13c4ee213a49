# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 45
# mpm: any
#
# Every wrong line is refused by httpd -t with one sentence that names the
# directive, the bad part and what is accepted; every right one is taken.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

# A line is put where its directive may stand, unless it is a block already.
my %in_section = map { $_ => 1 }
    qw(RateLimit RateLimitShared RateLimitExempt RateLimitEndpoint
       RateLimitStatusControl);

sub placed {
    my ($line) = @_;
    my ($word) = $line =~ /^\s*(\S+)/;
    return $in_section{$word} ? qq(<Location "/here">\n$line\n</Location>)
                              : $line;
}

sub directive_of {
    my ($line) = @_;
    my ($word) = $line =~ /^\s*(RateLimit\w*)/m;
    return $word;
}

sub shown {
    my ($line) = @_;
    $line =~ s/\n\s*/ | /g;
    $line =~ s/([^\x20-\x7e])/sprintf '\\x%02X', ord $1/ge;
    return length $line > 100 ? substr($line, 0, 100) . '...' : $line;
}

# A sanitizer takes its time to start, and most lines go the same ways: one in
# four is looked at with it.
my $nth = 0;
sub is_passed_over { return ($ENV{RLX_HTTPD} // '') =~ /asan/ && $nth++ % 4 }

sub accepts {
    my ($line) = @_;
    return if is_passed_over();
    my ($exit, $output) = RateLimit::Httpd->config_test(placed($line));
    ok($exit == 0 && $output =~ /^Syntax OK$/m, 'right: ' . shown($line))
        or diag($output);
}

# The sentence holds every one of the parts (strings or patterns) ...
sub refuses {
    my ($line, @parts) = @_;
    return if is_passed_over();
    my $directive = directive_of($line);
    my ($exit, $output) = RateLimit::Httpd->config_test(placed($line));
    my ($sentence) = grep { /\b$directive\b/ } split /\n/, $output;
    $sentence =~ s/\\\\/\\/g if defined $sentence;      # httpd escapes again
    my @missing = !$exit            ? 'a failure'
                : !defined $sentence ? "a line with $directive"
                : grep { ref ? $sentence !~ $_ : index($sentence, $_) < 0 }
                       @parts;
    # ... and nothing else went wrong, or could be mistaken for another line.
    push @missing, 'printable text alone' if $output =~ /[^\x20-\x7e\n]/;
    push @missing, 'a sane length' if length($sentence // '') > 600;
    push @missing, 'the line' if $output !~ /\bline \d+ of \S+httpd\.conf/;
    ok(!@missing, 'wrong: ' . shown($line))
        or diag("missing: @missing\n$output");
}

my $SECTION = 'in a section (<Location>, <Directory>, ...)';
my $OPTIONS = 'options are key, methods, per_method, scope, cost, '
            . 'override_defaults, strategy, burst, name, error_message, '
            . 'exempt_when, on_breach, status, dry_run, deduct_when, reserve, '
            . 'phase and meta';
my $FEWER = qr/options are key, methods, per_method, (?:scope, )?cost, strategy, burst, name, error_message, exempt_when, on_breach, status, dry_run, deduct_when, reserve, phase and meta$/;
my $META = qr/options are key, methods, per_method, cost, strategy, burst, name, error_message, exempt_when, on_breach, status, dry_run and phase$/;
my $COST = 'is not a whole number from 0 to 2147483647';
my $STRATEGIES = 'fixed-window, moving-window, sliding-window-counter or gcra';

### Settings

accepts("RateLimitEngine $_") for qw(On Off DryRun on OFF dryrun);
accepts("<Location /a>\nRateLimitEngine Off\n</Location>");
refuses("RateLimitEngine $_", qq("$_" is not On, Off or DryRun))
    for qw(yes 1 true dry-run On|Off);
refuses('RateLimitEngine', 'On, Off or DryRun');
refuses('RateLimitEngine On Off', 'takes one argument', 'On, Off or DryRun');

accepts("RateLimitStrategy $_")
    for qw(fixed-window moving-window sliding-window-counter gcra GCRA
           Fixed-Window);
accepts("<Location /a>\nRateLimitStrategy gcra\n</Location>");
refuses("RateLimitStrategy $_", qq("$_" is not a strategy), $STRATEGIES)
    for qw(fixed leaky-bucket fixed_window token);
refuses('RateLimitStrategy', 'takes one argument', $STRATEGIES);

accepts("RateLimitCharge $_") for qw(atomic in-order all ATOMIC);
refuses("RateLimitCharge $_", qq("$_" is not atomic, in-order or all))
    for qw(none in_order inorder first);
refuses('RateLimitCharge', 'atomic');

accepts("RateLimitStatus $_") for qw(400 429 503 599);
refuses("RateLimitStatus $_", qq("$_"), 'a whole number from 400 to 599')
    for qw(399 600 200 0 -1 429x x 4294967725 99999999999999999999999 0x1ad);
refuses('RateLimitStatus', '400 to 599');
refuses('RateLimitStatus 429 503', 'takes one argument', '400 to 599');

accepts("RateLimitErrorBody $_") for qw(auto html json text off OFF);
refuses("RateLimitErrorBody $_", qq("$_" is not auto, html, json, text or off))
    for qw(on xml problem+json);
refuses('RateLimitErrorBody', 'takes one argument', 'auto');

accepts("RateLimitRetryAfter $_") for qw(delta-seconds http-date HTTP-Date);
refuses("RateLimitRetryAfter $_", qq("$_" is not delta-seconds or http-date))
    for qw(seconds date);

accepts("RateLimitHeaderName $_ X-Quota.Left_1")
    for qw(limit remaining reset retry-after LIMIT);
refuses('RateLimitHeaderName left X', '"left" is not limit, remaining, reset or retry-after');
refuses("RateLimitHeaderName limit $_", 'is not the name of a response field')
    for '"X Quota"', 'X-Quota:', '"X\x01"', "X-caf\xc3\xa9", '"a(b)"', 'x' x 129;
refuses('RateLimitHeaderName limit', 'takes two arguments');
refuses("RateLimitHeaderName limit $_", qq("$_" is a field that the response itself needs))
    for qw(Content-Length transfer-encoding Set-Cookie);

accepts("RateLimitAllowOverride $_") for qw(None Add All add);
accepts("<Location /a>\nRateLimitAllowOverride All\n</Location>");
accepts("<VirtualHost *:81>\nRateLimitAllowOverride None\n</VirtualHost>");
refuses("RateLimitAllowOverride $_", qq("$_" is not None, Add or All)) for qw(On Limit AuthConfig);
refuses('RateLimitAllowOverride', 'takes one argument', 'None, Add');
refuses('RateLimitAllowOverride None Add', 'takes one argument', 'None, Add');

accepts("RateLimitOnBreach $_") for '/slow.html', '"/slow down.html"';
accepts("<Location /a>\nRateLimitOnBreach /x\n</Location>");
refuses("RateLimitOnBreach $_", qq("$_" is not a local URL-path), '/errors/slow-down.html')
    for qw(slow.html http://host/x //host/x %{req:X});
refuses('RateLimitOnBreach', 'takes one argument', 'local URL-path');

accepts("RateLimitKeyDisplay $_") for qw(auto plain hash PLAIN);
accepts("<Location /a>\nRateLimitKeyDisplay hash\n</Location>");
refuses("RateLimitKeyDisplay $_", qq("$_" is not auto, plain or hash))
    for qw(on none hashed);
refuses('RateLimitKeyDisplay', 'takes one argument', 'auto');
accepts("RateLimitStatusControl $_") for qw(On off);
refuses("RateLimitStatusControl $_", $_, 'On', 'Off') for qw(yes 1 DryRun);
refuses('RateLimitStatusControl', 'takes one argument', 'On or Off');
refuses("# at server level\nRateLimitStatusControl On",
        'not allowed outside of sections', qr/in a section \(<Location>, <Directory>, \.\.\.\)$/);

accepts("RateLimitRequestFilter $_")
    for 'true', '"%{REMOTE_ADDR} -ipmatch \'10.0.0.0/8\'"',
        q("-n reqenv('INTERNAL')"), q("req('X') == 'a' && ! -f %{REQUEST_FILENAME}");
accepts("<Location /a>\nRateLimitRequestFilter true\nRateLimitRequestFilter false\n</Location>");
refuses("RateLimitRequestFilter $_", 'is not a valid condition', 'such as')
    for '%{NOPE}', 'word', '"%{HTTP_HOST} =="', '"%{HTTP_HOST}"', '"nosuch(1)"';
refuses('RateLimitRequestFilter', 'takes one argument', 'a condition');
refuses('RateLimitRequestFilter %{HTTP_HOST} == x', 'takes one argument', 'in quotes');

accepts("RateLimitIPv6Prefix $_") for qw(0 1 64 128);
refuses("RateLimitIPv6Prefix $_", qq("$_"), 'a whole number from 0 to 128')
    for qw(129 -1 /64 64bits 1e2);
refuses('RateLimitIPv6Prefix', '0 to 128');
refuses("<Location /a>\nRateLimitIPv6Prefix 64\n</Location>",
        'not allowed in a section', 'for the whole server or in a <VirtualHost>');

accepts('RateLimitKeyPrefix shop');
accepts('RateLimitKeyPrefix "a b:c"');
refuses('RateLimitKeyPrefix', 'takes one argument', 'put before every stored key');
refuses('RateLimitKeyPrefix a b', 'takes one argument');
refuses("<Directory />\nRateLimitKeyPrefix a\n</Directory>",
        'not allowed in a section', 'for the whole server or in a <VirtualHost>');

accepts("RateLimitHeaders $_")
    for 'On', 'Off', 'x-ratelimit', 'ietf', 'x-ratelimit ietf',
        'ietf X-RateLimit', 'ietf ietf';
accepts("<Location /a>\nRateLimitHeaders On\n</Location>");
refuses("RateLimitHeaders $_", '"' . (split ' ')[-1] . '" is not On, Off, x-ratelimit or ietf')
    for qw(yes draft), 'ietf draft-7';
refuses('RateLimitHeaders On ietf', '"On" stands alone, without "ietf"');
refuses('RateLimitHeaders x-ratelimit off', '"off" stands alone, without "x-ratelimit"');
refuses('RateLimitHeaders Off Off', '"Off" stands alone');
refuses('RateLimitHeaders', 'argument is missing', 'Off, On, x-ratelimit or ietf');

### Keys and other expressions

accepts("RateLimitKey $_")
    for '%{REMOTE_ADDR}', '"%{req:X-Api-Key}"', '%{REMOTE_USER}',
        '"%{tolower:%{HTTP_HOST}}"', 'everybody', '"%{HTTP_HOST} %{REMOTE_ADDR}"',
        '%{env:PLAN}', '"a $ b"';
accepts("<Location /a>\nRateLimitKey %{HTTP_HOST}\n</Location>");
refuses('RateLimitKey %{HTTP_HOST', '"%{HTTP_HOST" is not a valid expression',
        'such as %{HTTP_HOST} or %{req:X-Api-Key}');
refuses('RateLimitKey %{NO_SUCH_THING}', '"%{NO_SUCH_THING}" is not a valid expression',
        "'NO_SUCH_THING' does not exist");
refuses('RateLimitKey "%{nosuchfunction:a}"', 'is not a valid expression', 'nosuchfunction');
refuses('RateLimitKey', 'takes one argument', 'an expression');
refuses('RateLimitKey ""', 'takes one argument');
refuses('RateLimitKey a b', 'takes one argument', 'in quotes where it has blanks');

accepts("RateLimitEndpoint $_") for 'api', '"%{HTTP_HOST}"', '"a b"';
refuses('RateLimitEndpoint %{NO_SUCH_THING}', 'is not a valid expression');
refuses('RateLimitEndpoint', 'takes one argument');
refuses("# at server level\nRateLimitEndpoint api", 'not allowed outside of sections', $SECTION);

### Limit strings, in each directive that has them

for my $string ('10/hour', '"10 per hour"', '"5/2 seconds;10/hour;100/day"',
                '"100/day, 500/7 days"', '"1 PER Second | 2/MINUTE"', '0/day',
                '2147483647/year', '"10 per 5 min"', "'10 per hour'",
                '"1/s,1/sec,1/m,1/h,1/hr,1/d,1/w,1/mo,1/y"', '"1/100 years"',
                '10perhour', '10/hours') {
    accepts("RateLimitDefault $string");
    accepts("RateLimitApplication $string");
    accepts("RateLimitMeta $string");
    accepts("RateLimit $string");
    accepts("RateLimitShared $string scope=x");
}
for my $case ([ '10', '10' ], [ '"10 per"', '10 per' ],
              [ '"10 per huor"', 'huor' ], [ 'ten/hour', 'ten/hour' ],
              [ '-1/hour', '-1/hour' ], [ '1.5/hour', '1.5/hour' ],
              [ '2147483648/hour', '2147483648' ],
              [ '99999999999999999999999999/hour', '99999999' ],
              [ '"1 per 101 years"', '1 per 101 years' ],
              [ '"1 per 0 hours"', '1 per 0 hours' ],
              [ '"1/hour,"', '1/hour,' ], [ '";1/hour"', ';1/hour' ],
              [ '"1/hour,,2/day"', '1/hour,,2/day' ],
              [ '"1/hour 2/day"', '1/hour 2/day' ],
              [ '"1//hour"', '1//hour' ], [ '"1/hour/day"', '1/hour/day' ],
              [ '","', ',' ], [ '" "', 'empty' ],
              [ qq("1/\x01hour"), '1/\x01hour' ],
              [ qq("1/h\xc3\xbc"), '1/h' ],
              [ '"1 per ' . 'x' x 5000 . '"', 'xxx...' ]) {
    my ($string, $part) = @$case;
    for my $directive (qw(RateLimit RateLimitDefault)) {
        refuses("$directive $string", $part);
    }
    refuses("RateLimitApplication $string", $part);
    refuses("RateLimitMeta $string", $part);
    refuses("RateLimitShared $string scope=x", $part);
}
for my $directive (qw(RateLimit RateLimitShared RateLimitDefault
                      RateLimitApplication RateLimitMeta)) {
    my $scope = $directive eq 'RateLimitShared' ? ' scope=x' : '';
    refuses($directive, 'the limit string is missing', '10 per hour');
    refuses(qq($directive ""$scope), 'the limit string is empty');
    refuses("$directive 10 per hour$scope", '"10"', 'stands in quotes');
    refuses("$directive 10/hour per day$scope", '"per" is not an option (name=value)', 'quotes');
    accepts(qq($directive "%{env:PLAN}"$scope));
    accepts(qq($directive "5/second; %{req:X-Plan}"$scope burst=3 strategy=gcra));
    accepts(qq($directive "%{env:PLAN}"$scope name=plan));
    refuses(qq($directive "%{NOPE}"$scope), '"%{NOPE}" is not a valid expression');
    refuses(qq($directive "10/hour$scope), 'the quote is never closed', '10/hour');
    refuses(qq($directive "10/hour"key=a$scope), 'no blank after the closing quote');
    refuses(qq($directive @{[join ',', ('1/hour') x 33]}$scope), 'more than 32 limits');
    accepts(qq($directive @{[join ',', ('1/hour') x 32]}$scope));
}

### Options

for my $option ('key=%{REMOTE_ADDR}', 'key="%{req:X-Api-Key}"',
                "key='%{REMOTE_USER}'", '"key=%{HTTP_HOST} %{REMOTE_ADDR}"',
                'key=%{REMOTE_USER} key=%{REMOTE_ADDR}', 'KEY=all',
                'methods=GET', 'methods=GET,POST', 'methods=get,post',
                'methods="GET, POST"', 'methods=GET,HEAD', 'methods=HEAD,GET',
                'methods=PROPFIND', 'methods=POST,POST', 'methods=HEAD', 'methods=post,head',
                'per_method=on', 'per_method=Off', 'per_method=ON',
                'cost=0', 'cost=1', 'cost=2147483647', 'cost=007',
                (map { "strategy=$_" } qw(fixed-window moving-window
                    sliding-window-counter gcra GCRA)),
                'strategy=gcra burst=1', 'burst=2147483647 strategy=gcra',
                'name=login', 'name=a/b:c,d;e{f}=g', 'name=' . 'x' x 128,
                'error_message=stop', 'error_message="Slow down, please"',
                q(error_message='say "please"'), 'error_message="100%"',
                q(error_message="a \"quoted\" word and a \\\\"),
                'error_message="for %{REMOTE_ADDR}"', 'cost=%{req:X-Cost}',
                'exempt_when="-n %{req:X-Free}"', 'exempt_when=true',
                'status=400', 'status=599', 'on_breach=/slow.html', 'dry_run=on', 'dry_run=Off',
                'phase=early', 'phase=Fixups') {
    accepts("RateLimit 10/hour $option");
    accepts("RateLimitDefault 10/hour $option");
    accepts("RateLimitApplication 10/hour $option");
    accepts("RateLimitMeta 10/hour $option");
    accepts("RateLimitShared 10/hour scope=x $option");
}
for my $option ('deduct_when="%{REQUEST_STATUS} == 401"',
                q(deduct_when="resp('X-Miss') == 'yes'"),
                'deduct_when=true reserve=on', 'reserve=off deduct_when=true') {
    accepts("RateLimit 10/hour $option");
    accepts("RateLimitDefault 10/hour $option");
    accepts("RateLimitApplication 10/hour $option");
    accepts("RateLimitShared 10/hour scope=x $option");
}
accepts("RateLimit 10/hour override_defaults=$_") for qw(on off On OFF);
accepts('RateLimitShared 10/hour scope=x override_defaults=off');
accepts('RateLimit 10/hour scope=%{HTTP_HOST}');
accepts('RateLimitDefault 10/hour scope="%{HTTP_HOST} x"');
accepts('RateLimitShared 10/hour scope="%{HTTP_HOST}"');
accepts("RegisterHttpMethod BREW\nRateLimitDefault 10/hour methods=brew,GET");
accepts("RegisterHttpMethod Stir\nRateLimitDefault 10/hour methods=Stir");

for my $case ([ 'key=%{NOPE}', 'key="%{NOPE}" is not a valid expression' ],
              [ 'key="%{HTTP_HOST"', 'key="%{HTTP_HOST" is not a valid expression' ],
              [ 'key=""', 'option key has no value' ], [ 'key=', 'option key has no value' ],
              [ 'methods=', 'option methods has no value' ],
              [ 'methods=NOPE', 'methods=', '"NOPE" is not a method', 'RegisterHttpMethod' ],
              [ 'methods=GET,NOPE', '"NOPE" is not a method' ],
              [ 'methods=GET,,POST', '"" is not a method' ],
              [ 'methods=GET,', '"" is not a method' ],
              [ 'methods=GET;POST', '"GET;POST" is not a method' ],
              [ 'methods="GET POST"', '"GET POST" is not a method' ],
              [ 'per_method=yes', 'per_method="yes" is not On or Off' ],
              [ 'per_method=1', 'per_method="1" is not On or Off' ],
              [ 'per_method=', 'option per_method has no value' ],
              (map { [ "cost=$_", qq(cost="$_" $COST) ] }
                   qw(-1 2147483648 one 1.5 1x +1 0x10 99999999999999999999)),
              [ 'cost=" 1"', 'cost=" 1"', $COST ],
              [ 'strategy=leaky', 'strategy="leaky" is not a strategy', $STRATEGIES ],
              [ 'strategy=', 'option strategy has no value' ],
              [ 'burst=0 strategy=gcra', 'burst="0" is not a whole number from 1 to 2147483647' ],
              [ 'burst=x strategy=gcra', 'burst="x"' ],
              [ 'burst=2147483648 strategy=gcra', 'burst="2147483648"' ],
              (map { [ "burst=5 strategy=$_", 'burst=5', 'strategy=gcra' ] }
                   qw(fixed-window moving-window sliding-window-counter)),
              [ 'burst=5', 'burst=5', 'strategy=gcra', 'RateLimitStrategy gcra' ],
              [ 'name=', 'option name has no value' ],
              [ 'name="a b"', 'name="a b" is not a name', 'printable ASCII' ],
              [ q(name='a"b'), 'is not a name' ], [ q(name="a'b"), 'is not a name' ],
              [ 'name=a\\b', 'is not a name' ], [ "name=a\x7fb", 'name="a\x7Fb" is not a name' ],
              [ "name=caf\xc3\xa9", 'name="caf\xC3\xA9" is not a name' ],
              [ 'name=' . 'x' x 129, 'xxx..."', 'is not a name' ],
              [ 'error_message=', 'option error_message has no value' ],
              [ 'error_message="for %{NOPE}"', 'error_message="for %{NOPE}" is not a valid expression' ],
              [ 'cost=%{NOPE}', 'cost="%{NOPE}" is not a valid expression' ],
              [ 'exempt_when=', 'option exempt_when has no value' ],
              [ 'exempt_when="%{NOPE} == 1"', 'exempt_when="%{NOPE} == 1" is not a valid condition', q(such as "%{REQUEST_METHOD} == 'GET'") ],
              [ 'exempt_when=word', 'exempt_when="word" is not a valid condition' ],
              [ 'exempt_when=true exempt_when=true', 'option exempt_when is given twice' ],
              (map { [ "status=$_", qq(status="$_" is not a whole number from 400 to 599) ] }
                   qw(200 399 600 x -1 %{req:X})),
              (map { [ "on_breach=$_", qq(on_breach="$_" is not a local URL-path) ] }
                   qw(x http://host/x //host/x %{req:X} /%{req:X})),
              [ 'dry_run=maybe', 'dry_run="maybe" is not On or Off' ],
              [ 'error_message="open', 'the quote is never closed' ],
              [ 'error_message=two words', '"words" is not an option' ],
              [ 'error_message="a"b', 'no blank after the closing quote' ],
              [ 'key', '"key" is not an option (name=value)' ],
              [ '=x', '"=x" is not an option' ],
              [ 'key =x', '"key" is not an option' ],
              (map { [ "$_=x", qq(option "$_" is not known) ] }
                   qw(keys limit Cost2 rate metas)),
              [ 'deduct_when=', 'option deduct_when has no value' ],
              [ 'deduct_when=word', 'deduct_when="word" is not a valid condition' ],
              [ 'deduct_when="%{NOPE} == 1"', 'deduct_when="%{NOPE} == 1" is not a valid condition' ],
              [ 'deduct_when=true deduct_when=true', 'option deduct_when is given twice' ],
              (map { [ "reserve=$_", qq(reserve="$_" makes no sense without deduct_when=) ] }
                   qw(on off On)),
              [ 'reserve=maybe deduct_when=true', 'reserve="maybe" is not On or Off' ],
              [ 'reserve=on reserve=on deduct_when=true', 'option reserve is given twice' ],
              (map { [ "phase=$_", qq(phase="$_" is not fixups or early) ] }
                   qw(late on access)),
              [ 'phase=early phase=early', 'option phase is given twice' ],
              [ 'meta=often', 'meta="often": "often" is not a limit' ],
              [ 'meta="3/hour; 5 per fortnight"', 'meta="3/hour; 5 per fortnight": ', '"5 per fortnight"' ],
              [ 'meta=', 'option meta has no value' ],
              [ 'meta="%{req:X"', 'meta="%{req:X" is not a valid expression' ],
              [ 'meta=3/hour meta=4/hour', 'option meta is given twice' ],
              ["foo\x1b=x", '"foo\x1B=x" is not an option' ],
              [ 'cost=1 cost=2', 'option cost is given twice', '"2"' ],
              [ 'cost=1 COST=1', 'option cost is given twice' ],
              [ 'name=a name=a', 'option name is given twice' ],
              [ 'methods=GET methods=POST', 'option methods is given twice' ],
              [ 'per_method=on per_method=on', 'option per_method is given twice' ],
              [ 'strategy=gcra strategy=gcra', 'option strategy is given twice' ],
              [ 'error_message=a error_message=b', 'option error_message is given twice' ]) {
    my ($option, @parts) = @$case;
    my $names_options = grep { /option \(name|is not known/ } @parts;
    refuses("RateLimit 10/hour $option", @parts, $names_options ? $OPTIONS : ());
    refuses("RateLimitDefault 10/hour $option", @parts, $names_options ? $FEWER : ());
    refuses("RateLimitApplication 10/hour $option", @parts, $names_options ? $FEWER : ());
    refuses("RateLimitShared 10/hour scope=x $option", @parts);
}

refuses('RateLimit "10/hour,20/day" name=a', 'name="a" belongs to one limit', 'there are 2');
refuses('RateLimitDefault "10/hour;20/day;1/s" name=a', 'there are 3');
refuses('RateLimit 10/hour override_defaults=maybe', 'override_defaults="maybe" is not On or Off');
refuses('RateLimit 10/hour scope=', 'option scope has no value');
refuses('RateLimit 10/hour scope=%{NOPE}', 'scope="%{NOPE}" is not a valid expression');
refuses('RateLimit 10/hour scope=a scope=b', 'option scope is given twice');
refuses('RateLimit 10/hour override_defaults=on override_defaults=on', 'given twice');

### Options that make no sense where they stand

refuses('RateLimitDefault 10/hour override_defaults=on',
        'option "override_defaults" makes no sense here', $FEWER);
refuses('RateLimitApplication 10/hour override_defaults=off',
        'option "override_defaults" makes no sense here', $FEWER);
refuses('RateLimitApplication 10/hour scope=x',
        'option "scope" makes no sense here', $FEWER);
refuses("RateLimitMeta 10/hour $_", 'makes no sense here', $META)
    for 'scope=x', 'override_defaults=on', 'deduct_when=true', 'reserve=on',
        'meta=1/hour';
accepts("RateLimit 10/hour meta=$_")
    for '3/hour', '"3 per hour; 5/day"', '%{req:X-Meta}', '"3 per hour" strategy=moving-window',
        '2/hour burst=4 strategy=gcra';
accepts("$_ 10/hour meta=3/hour") for qw(RateLimitDefault RateLimitApplication);
accepts('RateLimitShared 10/hour scope=x meta=3/hour');
refuses('RateLimit 10/hour strategy=moving-window meta=2000000000/hour', 'RateLimit (meta=) on line', '2000000000 per 1 hour');
refuses("RateLimitFallback 10/hour $_", 'makes no sense here', 'options are key, ')
    for 'scope=x', 'override_defaults=on', 'phase=early', 'meta=1/hour';
accepts("RateLimitFallback $_")
    for '10/hour', '"10/hour; 5/second" methods=POST key=%{RATELIMIT_CLIENT} cost=2 per_method=on',
        '"%{env:PLAN}" exempt_when=false status=403 on_breach=/x error_message=x dry_run=on',
        '10/hour name=x strategy=gcra burst=2 deduct_when=true reserve=on';
refuses('RateLimitFallback', 'the limit string is missing');
refuses('RateLimitFallback 10', '"10"');
refuses("<Location /a>\nRateLimitFallback 10/hour\n</Location>", 'not allowed in a section');
accepts("RateLimitStorageFailure $_") for qw(fallback allow deny FALLBACK Deny);
refuses("RateLimitStorageFailure $_", qq("$_" is not fallback, allow or deny))
    for qw(on off pass 503);
refuses('RateLimitStorageFailure', 'takes one argument', 'fallback');
refuses('RateLimitStorageFailure fallback size=8M', 'takes one argument');
refuses("<Location /a>\nRateLimitStorageFailure deny\n</Location>", 'not allowed in a section');
refuses('RateLimitMeta 10/hour burst=2', 'RateLimitMeta on line', 'strategy=gcra');
refuses('RateLimitShared 10/hour', 'scope= is missing', 'scope=api');
refuses('RateLimitShared 10/hour cost=2', 'scope= is missing');
accepts("RateLimitStrategy gcra\nRateLimitDefault 10/hour burst=5");
accepts("RateLimitDefault 10/hour burst=5\nRateLimitStrategy gcra");
accepts("<Location /a>\nRateLimit 10/hour burst=5\nRateLimitStrategy gcra\n</Location>");
accepts("RateLimitStrategy gcra\n<Location /a>\nRateLimit 10/hour burst=5\n</Location>");
accepts("RateLimitStrategy gcra\n<VirtualHost *:81>\nRateLimitDefault 10/hour burst=5\n</VirtualHost>");
accepts("<VirtualHost *:81>\nRateLimitStrategy gcra\nRateLimitDefault 10/hour burst=5\n</VirtualHost>");
refuses("<Location /a>\nRateLimit 10/hour burst=5\nRateLimitStrategy moving-window\n</Location>\nRateLimitStrategy gcra",
        'burst=5', 'strategy=gcra');
refuses("<VirtualHost *:81>\nRateLimitStrategy gcra\n</VirtualHost>\n<VirtualHost *:82>\nRateLimitApplication 10/hour burst=5\n</VirtualHost>" =~ s/^/# RateLimitApplication\n/r,
        'burst=5', 'strategy=gcra');

### Exemptions

accepts("RateLimitExempt $_")
    for '', 'On', 'off', 'ALL', 'default', 'application meta', 'ancestors',
        'descendents', 'descendants', 'Default Application',
        'application default meta ancestors descendents', 'meta meta';
refuses('RateLimitExempt everything', '"everything" is not On, Off, All, '
        . 'application, default, meta, ancestors, descendents or descendants');
refuses('RateLimitExempt default parents', '"parents" is not On');
refuses('RateLimitExempt On default', '"On" stands alone, without "default"');
refuses('RateLimitExempt default All', '"All" stands alone, without "default"');
refuses('RateLimitExempt Off On', 'stands alone');
refuses('RateLimitExempt default,meta', '"default,meta" is not On');

### Storage

accepts("RateLimitStorage $_") for 'shm://', 'SHM://';
refuses('RateLimitStorage', "the storage's URI is missing", 'shm://');
refuses('RateLimitStorage nowhere', '"nowhere" is not a storage URI', 'shm');
refuses('RateLimitStorage nosuch://host/', 'nosuch', 'shm');
refuses('RateLimitStorage shm:// size', '"size" is not an option (name=value)');
refuses('RateLimitStorage shm:// size=', 'option size has no value');
refuses('RateLimitStorage shm:// size=1M size=2M', 'option size is given twice');
refuses('RateLimitStorage shm:// "size=1M', 'the quote is never closed');
# Passwords are not shown, however the rest is written.
for my $uri ('shm://u:hunter2@x', 'redis:u:hunter2@h', 'redis:/u:hunter2@h', 'u:hunter2@h') {
    my ($exit, $output) = RateLimit::Httpd->config_test("RateLimitStorage $uri\nRateLimitDefault 1/hour");
    ok($exit && $output =~ /RateLimitStorage/ && $output !~ /hunter2/, "no secret of $uri") or diag $output;
}
accepts("RateLimitStorage $_")
    for 'redis://127.0.0.1', 'valkey://[::1]:7000/3 timeout=20 pool_max=4',
        'redis+unix:///run/redis.sock?db=1 store_keys=plain client_name=web-1',
        'valkey+unix://u:p@/r.sock connect_timeout=5 log_max=100',
        'redis+sentinel://127.0.0.1,[::1]:26380/mymaster?db=1 sentinel_password=x',
        'valkey+sentinel://u:p@127.0.0.1/m sentinel_user=u sentinel_password=x',
        'redis+cluster://127.0.0.1:7000,127.0.0.1:7001',
        'valkey+cluster://u:p@127.0.0.1';
refuses('RateLimitStorage redis+sentinel://h', 'name of the service is missing');
refuses('RateLimitStorage redis+sentinel://h/m/1', '/mymaster?db=1');
refuses('RateLimitStorage redis+sentinel://u:hush@h/m?x', '***@h/m', 'only ?db=');
refuses('RateLimitStorage redis+sentinel://h/m sentinel_user=u', 'needs sentinel_password=');
refuses('RateLimitStorage redis+cluster://h,', 'a host is missing');
refuses('RateLimitStorage redis+cluster://h/1', 'database 0 alone');
refuses('RateLimitStorage redis://h sentinel_password=hush', 'sentinel_password= is for redis+sentinel:// alone');
refuses('RateLimitStorage redis://', '"redis://": a host is missing');
refuses('RateLimitStorage redis://h:x', 'the port is not a number');
refuses('RateLimitStorage redis://h/x', 'the database is not a number');
refuses('RateLimitStorage redis://h,i', 'redis+cluster://');
refuses('RateLimitStorage redis+unix://h', 'begins with a slash');
refuses('RateLimitStorage rediss://u:hush@h', '"rediss://***@h"', 'no TLS');
refuses('RateLimitStorage redis://h tls_ca=/etc/passwd', 'tls_ca=', 'for rediss:// alone');
refuses('RateLimitStorage rediss://h tls_ca=ca.pem', 'tls_ca=ca.pem is not the path of a file');
refuses('RateLimitStorage rediss://h tls_key=/k.pem', 'tls_cert=, which is missing');
refuses('RateLimitStorage redis://h size=1M', 'redis has no option "size"', 'timeout=');
refuses('RateLimitStorage redis://h deny_cache=some', 'deny_cache=some is neither on nor off nor a size from 4K to 1G');
refuses('RateLimitStorage redis://h deny_cache_time=1s', 'deny_cache_time=1s is not a number of milliseconds from 1 to 60000');
refuses('RateLimitStorage shm:// deny_cache=1M', 'shm:// has no option "deny_cache"');
accepts("RateLimitStorage redis://h $_")
    for 'deny_cache=off', 'deny_cache=4K deny_cache_time=60000', 'Deny_Cache=ON';
refuses('RateLimitStorage redis://h timeout=0', 'timeout=0 is not a number of milliseconds');
refuses('RateLimitStorage redis://h connect_timeout=60', 'is longer than timeout=50');
refuses(qq(RateLimitStorage redis://h\nRateLimitDefault "20000/day" strategy=moving-window),
        'this storage keeps 10000', 'log_max=');
refuses("<Location /a>\nRateLimitStorage shm://\n</Location>",
        'not allowed in a section', 'for the whole server or in a <VirtualHost>');
{
    my (undef, $output) = RateLimit::Httpd->config_test(
        'RateLimitStorage nosuch://user:hush@host/0');
    unlike($output, qr/hush/, 'a password is not shown');
    (undef, $output) = RateLimit::Httpd->config_test(
        'RateLimitStorage shm:// password=hush password=hush2');
    unlike($output, qr/hush/, 'nor an option');
}

### Places

for my $block (qw(Location LocationMatch Directory DirectoryMatch Files
                  FilesMatch Proxy)) {
    my $module = $block eq 'Proxy' ? { modules => ['proxy'] } : {};
    my ($exit, $output) = RateLimit::Httpd->config_test(
        qq(<$block "/x">\nRateLimit 10/hour\nRateLimitShared 5/hour scope=x\n)
        . qq(RateLimitExempt default\nRateLimitEndpoint e\n</$block>), $module);
    is($exit, 0, "<$block> takes limits") or diag($output);
}
accepts("<If \"%{HTTP_HOST} == 'x'\">\nRateLimit 10/hour\n</If>\n<ElseIf true>\nRateLimit 5/hour\n</ElseIf>\n<Else>\nRateLimit 1/hour\n</Else>");
accepts("<VirtualHost *:81>\nRateLimitDefault 10/hour\nRateLimitApplication 5/hour\nRateLimitEngine Off\n<Location /a>\nRateLimit 1/hour\n</Location>\n</VirtualHost>");
accepts("<IfModule ratelimit_ext_module>\nRateLimitDefault 1/hour\n</IfModule>");
refuses("# at server level\n$_", 'not allowed outside of sections', $SECTION,
        'RateLimitDefault or RateLimitApplication')
    for 'RateLimit 10/hour', 'RateLimitShared 10/hour scope=x', 'RateLimitExempt';
refuses("<VirtualHost *:81>\nRateLimit 10/hour\n</VirtualHost>", 'not allowed outside of sections');
for my $line ('RateLimitDefault 10/hour', 'RateLimitApplication 10/hour',
              'RateLimitMeta 10/hour') {
    refuses("<$_>\n$line\n</@{[(split)[0]]}>", 'not allowed in a section',
            'for the whole server or in a <VirtualHost>')
        for 'Location /a', 'Directory /', 'Files x', 'If true';
}
for my $limit ('Limit POST', 'LimitExcept GET') {
    my $end = (split ' ', $limit)[0];
    refuses("<Location /a>\n<$limit>\n$_\n</$end>\n</Location>",
            'not allowed within <Limit> or <LimitExcept>', 'methods=')
        for 'RateLimit 10/hour', 'RateLimitShared 10/hour scope=x',
            'RateLimitExempt', 'RateLimitEndpoint e', 'RateLimitEngine Off',
            'RateLimitStrategy gcra', 'RateLimitKey x', 'RateLimitHeaders On',
            'RateLimitStatus 429', 'RateLimitCharge all',
            'RateLimitRequestFilter true', 'RateLimitAllowOverride Add',
            'RateLimitErrorBody json', 'RateLimitKeyDisplay hash',
            'RateLimitHeaderName limit X-L', 'RateLimitRetryAfter http-date',
            'RateLimitOnBreach /x', 'RateLimitStatusControl On';
}
{
    my ($exit, $output) = RateLimit::Httpd->config_test('RateLimitNonsense 1');
    ok($exit && $output =~ /Invalid command 'RateLimitNonsense'/,
       'a directive that does not exist');
}

done_testing();
