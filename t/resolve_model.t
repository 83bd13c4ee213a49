# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Random nested configurations, with .htaccess files: which limits the module
# finds in force, against a model of DESIGN sections 3 and 7 that is written
# from their words; and limiter-status says the same of the path, with a reason
# for each limit around it that is not in force.
#
#   RLX_SEED=n prove t/resolve_model.t      the same configuration again
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use List::Util qw(shuffle);
use Test::More;
use RateLimit::Httpd;
use RateLimit::Plan;

my $seed = $ENV{RLX_SEED} // int rand 2**31;
srand $seed;

my $TREES = 12;         # places that hold sections, shared by all hosts
my $HOSTS = 5;          # virtual hosts beside the main server
my @windows = ([ second => 1 ], [ minute => 60 ], [ hour => 3600 ],
               [ day => 86400 ]);
my @methods = qw(GET POST PUT);
my @steps = ('', '/a', '/b', '/a/a', '/a/b', '/a/a/a');
my @flags = qw(application default meta ancestors descendents);
my @htaccess;           # sections; those of all hosts
my $count = 1000;       # each limit has another count: its text names it

sub chance { rand() < $_[0] }
sub pick { $_[rand @_] }

### A random configuration, as data

# A limit; $in_file: of a .htaccess, where most hold what is allowed.
sub random_rule {
    my ($kind, $in_file) = @_;
    my ($unit, $window) = @{ pick(@windows) };
    my %rule = (kind => $kind, window => $window, override => 0,
                text => ++$count . " per 1 $unit");
    if (chance(0.3)) {
        $rule{methods} = [ (shuffle @methods)[0 .. int rand 2] ];
    }
    if ($kind eq 'RateLimit' || $kind eq 'RateLimitShared') {
        $rule{override} = chance($in_file ? 0.05 : 0.35) ? 1 : 0;
        $rule{scope} = 's' . int rand 3 if $kind eq 'RateLimitShared';
    }
    return \%rule;
}

sub random_rules { my ($n, $kind) = @_; map { random_rule($kind) } 1 .. $n }

# A section: type, argument, and what stands in it. `inner` sections go into
# the same block.
sub random_section {
    my ($type, $argument, $outer) = @_;
    my $file = $type eq 'Htaccess' ? $argument : $outer && $outer->{file};
    my %section = (type => $type, argument => $argument, file => $file,
                   name => join ', ', $outer ? $outer->{name} : (),
                                      "$type $argument");
    $section{rules} = [ map {
        random_rule(chance(0.2) ? 'RateLimitShared' : 'RateLimit', $file)
    } 1 .. pick(0, 0, 1, 1, 1, 2, 3) ];
    $section{exempt} = [ map { chance(0.3) ? $_ : () } @flags ]
        if chance($file ? 0.08 : 0.35);
    $section{endpoint} = !$file && chance(0.1);
    $section{setting} = !$file && chance(0.2);
    $section{headers} = chance(0.1);
    $section{allow} = pick(qw(None Add Add All All))
        if !$file && chance($type eq 'Directory' ? 0.6 : 0.02);
    $section{inner} = [];
    if ($type ne 'If' && chance(0.15)) {
        push @{ $section{inner} }, random_section('If', who(), \%section);
    }
    if (($type eq 'Directory' || $type eq 'Htaccess') && chance(0.3)) {
        push @{ $section{inner} },
            random_section('Files', pick(qw(x.txt y.txt)), \%section);
    }
    return \%section;
}

sub who { "%{HTTP:X-Who} == '" . pick(qw(me you)) . "'" }

sub random_server {
    my ($name) = @_;
    my (@locations, @others);
    for my $tree (0 .. $TREES - 1) {
        my @paths = map { chance(0.5) ? "/t$tree$_" : () } @steps;
        # Now and then out of order, or twice the same.
        @paths = shuffle(@paths, @paths ? $paths[0] : ()) if chance(0.3);
        push @locations, map { random_section('Location', $_) } @paths;
        push @others, map { random_section('Directory', "\@DOCROOT\@$_") }
            shuffle map { chance(0.15) ? "/t$tree$_" : () } @steps;
    }
    push @others, random_section('Files', 'y.txt') if chance(0.3);
    push @others, random_section('If', who()) if chance(0.3);
    return {
        name => $name,
        sections => [ @others, @locations ],
        allow => pick(undef, undef, qw(None Add All)),
        default => [ random_rules(pick(0, 0, 1, 2), 'RateLimitDefault') ],
        application => [ random_rules(pick(0, 0, 1, 2), 'RateLimitApplication') ],
    };
}

### The same as httpd reads it

sub rule_line {
    my ($rule, $in_file) = @_;
    my $line = qq($rule->{kind} "$rule->{text}");
    $line .= " scope=$rule->{scope}" if defined $rule->{scope};
    $line .= ' methods=' . join ',', @{ $rule->{methods} } if $rule->{methods};
    if ($rule->{kind} =~ /^RateLimit(?:Shared)?$/) {
        $line .= ' override_defaults=' . ($rule->{override} ? 'on' : 'off')
            if $rule->{override} != !$in_file || chance(0.5);
    }
    return "$line\n";
}

sub section_block {
    my ($section) = @_;
    my @lines = map { rule_line($_, $section->{file}) } @{ $section->{rules} };
    push @lines, "RateLimitHeaders On\n" if $section->{headers};
    push @lines, "RateLimitAllowOverride $section->{allow}\n"
        if $section->{allow};
    push @lines, "RateLimitEndpoint e\n" if $section->{endpoint};
    push @lines, "RateLimitStatus 429\n" if $section->{setting};
    push @lines, 'RateLimitExempt '
                 . (@{ $section->{exempt} } ? "@{ $section->{exempt} }" : 'Off')
                 . "\n" if $section->{exempt};
    # Only rules have an order among themselves.
    push @lines, map { section_block($_) } @{ $section->{inner} };
    return join '', @lines if $section->{type} eq 'Htaccess';
    return join '', qq(<$section->{type} "$section->{argument}">\n), @lines,
        "</$section->{type}>\n";
}

sub server_block {
    my ($server) = @_;
    return join '', ($server->{allow}
                     ? "RateLimitAllowOverride $server->{allow}\n" : ()),
        (map { rule_line($_) } @{ $server->{default} },
                                           @{ $server->{application} }),
        map { section_block($_) } @{ $server->{sections} };
}

### The model

# Sections of a request, outermost first, as httpd merges: directories by
# depth, each with its .htaccess, files, locations as written, conditions; the
# main server's before the virtual host's.
sub sections_of {
    my ($servers, $request) = @_;
    my @all = map { @{ $_->{sections} } } @$servers;
    my @directories = sort { depth($a) <=> depth($b) }
        grep { $_->{type} =~ /^(?:Directory|Htaccess)$/
               && holds_path($_, $request) } @all, @htaccess;
    my @files = grep { $_->{type} eq 'Files'
                       && $request->{path} =~ m{/\Q$_->{argument}\E$} }
        @all, map { @{ $_->{inner} } } @directories;
    my @locations = grep { $_->{type} eq 'Location'
                           && holds_path($_, $request) } @all;
    my @ifs = grep { $_->{type} eq 'If'
                     && $_->{argument} =~ /'\Q$request->{who}\E'/ }
        @all, map { @{ $_->{inner} } } @directories, @files, @locations;
    return (@directories, @files, @locations, @ifs);
}

sub speaks { @{ $_[0]{rules} } || $_[0]{exempt} || $_[0]{endpoint} }

# What is allowed to a file: the server's word, the virtual host's, that of a
# directory around the file, and of whatever is looked at later.
sub allowed {
    my ($servers, $file, @sections) = @_;
    my $depth = $file =~ tr{/}{} - 1;
    my @words = (map({ $_->{allow} } @$servers),
                 map { $_->{allow} } grep { $_->{type} ne 'Directory'
                                            || depth($_) <= $depth } @sections);
    return (grep { defined } 'Add', @words)[-1];
}

# Not 0 if a file, all of it, holds what is not allowed.
sub is_wrong {
    my ($allowed, $section) = @_;
    return 1 if $allowed eq 'None' && (@{ $section->{rules} }
                                       || $section->{exempt} || $section->{headers});
    return 1 if $allowed eq 'Add' && ($section->{exempt}
                                      || grep { $_->{override} } @{ $section->{rules} });
    return grep { is_wrong($allowed, $_) } @{ $section->{inner} };
}

# Of directories: that of a .htaccess ends in a slash.
sub depth { my $n = () = $_[0]{argument} =~ m{/(?=.)}g; return $n }

sub holds_path {
    my ($section, $request) = @_;
    my $prefix = $section->{argument} =~ s/^\@DOCROOT\@//r =~ s{/$}{}r;
    return $request->{path} =~ m{^\Q$prefix\E(?:/|$)};
}

# "A limit whose methods do not match takes no part."
sub with_method {
    my ($request, @rules) = @_;
    my $method = $request->{method} eq 'HEAD' ? 'GET' : $request->{method};
    return grep { !$_->{methods} || grep { $_ eq $method } @{ $_->{methods} } }
        @rules;
}

sub is_exempt { my ($section, $flag) = @_;
                return grep { $_ eq $flag } @{ $section->{exempt} || [] } }

# What a row of sections, outermost first, gives to one nested in the last.
# A limit is [ rule, section ].
sub handed_down {
    my ($request, $defaults, @sections) = @_;
    my $last = pop @sections or return @$defaults;
    if (is_exempt($last, 'descendents')) {
        return is_exempt($last, 'ancestors')
            ? @$defaults : handed_down($request, $defaults, @sections);
    }
    my @own = map { [ $_, $last ] } with_method($request, @{ $last->{rules} });
    return @own if grep { $_->[0]{override} } @own;
    return (@own, handed_down($request, $defaults, @sections));
}

sub model {
    my ($servers, $request) = @_;
    my $host = $servers->[-1];
    my ($default, $application) = map {
        my $kind = $_;
        # "A virtual host that declares any has its own alone."
        my ($holder) = grep { @{ $_->{$kind} } } $host, $servers->[0];
        [ map { [ $_ ] } with_method($request, @{ $holder ? $holder->{$kind} : [] }) ];
    } qw(default application);

    my @all = sections_of($servers, $request);
    for my $file (grep { $_->{type} eq 'Htaccess' } @all) {
        return [ 'wrong' ]
            if is_wrong(allowed($servers, $file->{file}, @all), $file);
    }
    my (@sections, @added);
    for (grep { speaks($_) } @all) {
        my $may_only_add = $_->{file}
            && allowed($servers, $_->{file}, @all) ne 'All';
        push @{ $may_only_add ? \@added : \@sections }, $_;
    }
    my ($endpoint) = reverse grep { !$_->{file} } @sections;
    my $innermost = pop @sections;
    my @held = @$default;
    if ($innermost) {
        my @own = map { [ $_, $innermost ] }
            with_method($request, @{ $innermost->{rules} });
        @held = (grep { $_->[0]{override} } @own)   ? ()
              : is_exempt($innermost, 'ancestors') ? @$default
              : handed_down($request, $default, @sections);
        unshift @held, @own;
        my %exempt = map { $_ => 1 } map { @{ $_->{exempt} || [] } }
            $innermost, grep { is_exempt($_, 'descendents') } @sections;
        @held = grep { $_->[0]{kind} ne 'RateLimitDefault' } @held
            if $exempt{default};
        $application = [] if $exempt{application};
    }
    # Among equals: application, defaults, files that may only add, inner
    # sections before outer ones.
    my @of_default = grep { $_->[0]{kind} eq 'RateLimitDefault' } @held;
    my @of_sections = grep { $_->[0]{kind} ne 'RateLimitDefault' } @held;
    for my $section (@added) {
        unshift @of_sections, map { [ $_, $section ] }
            with_method($request, @{ $section->{rules} });
    }
    my @sorted = sort { $a->[0]{window} <=> $b->[0]{window} }
        @$application, @of_default, @of_sections;
    return [ map { limit_text($_, $_->[1] && $_->[1]{file} ? $_->[1] : $endpoint) }
             @sorted ];
}

# As src/http/plan_text.h says.
sub limit_text {
    my ($limit, $endpoint) = @_;
    my ($rule, $section) = @$limit;
    my $kind = $rule->{kind};
    return "$rule->{text} [application]" if $kind eq 'RateLimitApplication';
    my $text = "$rule->{text} ["
        . ($kind eq 'RateLimitShared' ? "shared $rule->{scope}"
           : $endpoint ? $endpoint->{name} : '-') . ']';
    return "$text from default" if $kind eq 'RateLimitDefault';
    return $text if $kind eq 'RateLimit' && $section == $endpoint;
    return "$text from $section->{name}";
}

### What limiter-status says

# Limits in force as "text [scope]", and sentences that should not be there.
sub told {
    my ($client, $server, $request) = @_;
    my $body = $client->get("/status?format=text&path=$request->{path}"
        . "&method=$request->{method}&server=$server",
        'X-Who' => $request->{who})->body;
    return [ 'wrong' ] if $body =~ /^  answer: 500 /m;
    my ($holds) = $body =~ /^Limits that hold\n(.*?)^$/ms;
    my ($not) = $body =~ /^Limits that do not hold\n(.*?)^$/ms;
    my @told = ($holds // '') =~ /^  (\d.*?), .*\n    why: .*\n    counts in: (.*)$/mg;
    my @limits;
    push @limits, shift(@told) . ' [' . shift(@told) . ']' while @told;
    push @limits, grep { !/^    why: (?:overridden|cut off|left out|exempt|replaced|not for)\b/m }
        split /^(?=  \d)/m, $not // '';
    return \@limits;
}

# The same of a request's plan. The name that RateLimitEndpoint gives stands in
# the one alone.
sub is_told {
    my ($plan, $told) = @_;
    my @plan = map { s/\] from .*/]/r } @$plan;
    return 0 if @plan != @$told;
    for my $i (0 .. $#plan) {
        my ($text, $scope) = $told->[$i] =~ /^(.*) \[(.*)\]$/s;
        return 0 if $told->[$i] ne $plan[$i]
                    && !($scope && $scope eq 'e' && $plan[$i] =~ /^\Q$text [\E/);
    }
    return 1;
}

### Comparison

my $main = random_server('main');
my @hosts = map { random_server("host$_") } 1 .. $HOSTS;
# One virtual host has no directive at all.
$hosts[-1] = { name => "host$HOSTS", sections => [], default => [],
               application => [] };
@htaccess = map { random_section('Htaccess', "\@DOCROOT\@$_/") }
    grep { chance(0.3) } map { my $tree = $_; map { "/t$tree$_" } @steps }
    0 .. $TREES - 1;
my $conf = "LogLevel ratelimit_ext:debug\n"
    . "<Location /status>\nSetHandler limiter-status\nRateLimitEngine Off\n</Location>\n"
    . "<Directory />\nAllowOverride Limit\n</Directory>\n" . server_block($main)
    . join '', map {
        "<VirtualHost 127.0.0.1:\@PORT2\@>\nServerName $_->{name}\n"
        . server_block($_) . "</VirtualHost>\n"
    } @hosts;

my $httpd = RateLimit::Httpd->start(
    conf => $conf,
    files => { map { my $tree = $_; map { ("t$tree$_/x.txt" => 'x',
                                           "t$tree$_/y.txt" => 'y') } @steps }
               0 .. $TREES - 1 });
my $plan = RateLimit::Plan->new($httpd);
my $root = $httpd->docroot;
my $page = $httpd->client;
for my $file (@htaccess) {
    $httpd->write($file->{argument} =~ s{^\@DOCROOT\@/}{}r . '.htaccess',
                  section_block($file));
}

my ($compared, $with_limits, $wrong) = (0, 0, 0);

sub compare {
    my ($servers, $tree) = @_;
    for my $step (@steps) {
        for my $nth (1 .. 4) {
            my %request = (
                path => "/t$tree$step/" . pick(qw(x.txt y.txt)),
                method => pick(qw(GET GET POST PUT HEAD DELETE)),
                who => pick(qw(me you they)),
            );
            my $want = model($servers, \%request);
            s/\@DOCROOT\@/$root/g for @$want;
            my $got = $plan->of($request{path}, method => $request{method},
                port => @$servers > 1 ? 2 : 1, host => $servers->[-1]{name},
                headers => { 'X-Who' => $request{who} });
            $got = [ 'wrong' ] if $plan->response->code == 500;
            $compared++;
            $with_limits++ if @$want;
            $wrong++ if "@$want" eq 'wrong';
            my $name = @$servers > 1 ? $servers->[-1]{name} : '_main';
            my $told = $nth == 1 && told($page, $name, \%request);
            if ($told && !is_told($got, $told)) {
                diag("seed $seed, ?path=$request{path} of $name by $request{method} "
                     . "as $request{who}");
                return is_deeply($told, $got, 'limiter-status says the same');
            }
            next if "@$got" eq "@$want";
            diag("seed $seed, $request{method} $request{path} as $request{who}");
            return is_deeply($got, $want,
                             "$servers->[-1]{name}, tree $tree");
        }
    }
    return pass("$servers->[-1]{name}, tree $tree");
}

for my $tree (0 .. $TREES - 1) {
    compare([ $main ], $tree);
    compare([ $main, $_ ], $tree) for @hosts;
}
ok($wrong > 0 && $wrong < $compared * 0.7, "$wrong met a wrong file");
cmp_ok($with_limits, '>', $compared / 3, "most of $compared requests had limits (seed $seed)");

done_testing();
