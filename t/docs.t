# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# The documentation says what the module does: directives, contexts, options,
# log tags, links, the quick start.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place qw(slurp);

my $top = RateLimit::Place::top();
chdir $top or die "$top: $!";

sub config_is_good { (RateLimit::Httpd->config_test(@_))[0] == 0 }

my $manual = slurp('docs/directives.md');

### Directives: the table of the module and the manual have the same

my $source = slurp('src/http/directives.c');
my @table = sort { $a cmp $b } $source =~ /\bAP_INIT_\w+\(\s*"(\w+)"/g;
my ($part) = $manual =~ /^## Directives\n(.*?)^## /ms;
my ($first, %section) = split /^### (\w+)\n/m, $part;
cmp_ok(scalar @table, '>=', 15, 'the table was found');
is_deeply([sort keys %section], \@table, 'every directive and no other');

my ($list) = $manual =~ /^\*\*Directives:\*\*\n(.*?)\n\n/ms;
is_deeply([$list =~ /\[(\w+)\]\(#\w+\)/g], [sort { lc $a cmp lc $b } @table],
          'the list at the top has them, by the alphabet');
is_deeply([$part =~ /^### (\w+)/mg], [sort { lc $a cmp lc $b } @table],
          'the sections are in the same order');

# The rows of a directive's table, and the first line of its example that
# shows the directive.
sub row {
    my ($name, $row) = @_;
    return $section{$name} =~ /^\| \*\*$row:\*\* \| (.*?) \|$/m ? $1 : '';
}
sub example {
    my ($name) = @_;
    my ($text) = $section{$name} =~ /^```apache\n(.*?)^```/ms or return;
    return $text =~ /^\s*($name\s.*)$/m ? $1 : undef;
}

my $all = slurp('conf.d/ratelimit_ext.conf');
my %shown = map { (split)[0] => $_ } $all =~ /^\s*#(RateLimit.*)$/mg;
is_deeply([sort keys %shown], \@table,
          'conf.d/ratelimit_ext.conf has every directive');

my %line;
for my $name (@table) {
    $line{$name} = example($name);
    ok($line{$name}, "$name has an example");
    like(row($name, 'Syntax'), qr/^`$name /, 'and a syntax');
    is(row($name, 'Module'), 'mod_ratelimit_ext', 'and a module');
    my ($default) = row($name, 'Default') =~ /^`($name .*)`$/;
    is($shown{$name}, $default, 'ratelimit_ext.conf has the same default')
        if $default;
}

### Contexts, as the module sees them

my %place = (
    'server config' => sub { "$_[0]\n" },
    'virtual host' =>
        sub { "<VirtualHost *:8080>\n$_[0]\n</VirtualHost>\n" },
    'directory' => sub { "<Location \"/a\">\n$_[0]\n</Location>\n" },
);
my $server = RateLimit::Httpd->start(
    conf => <<'END',
<Directory "@DOCROOT@">
    AllowOverride Limit
    RateLimitAllowOverride All
</Directory>
END
    files => { map { ("$_/.htaccess" => "$line{$_}\n", "$_/x" => '') } @table },
);
my $client = $server->client;
for my $name (@table) {
    my @allowed = grep { config_is_good($place{$_}->($line{$name})) }
        'server config', 'virtual host', 'directory';
    push @allowed, '.htaccess' if $client->get("/$name/x")->code == 200;
    is(row($name, 'Context'), join(', ', @allowed), "$name: context");
    is(row($name, 'Override'),
       (grep { $_ eq '.htaccess' } @allowed) ? 'Limit' : '',
       "$name: override");
}
$server->stop;

### Options of a limit, and where they may stand

my %value = (
    key => '%{HTTP_HOST}', methods => 'GET', per_method => 'on',
    scope => 'other', cost => 2, override_defaults => 'off',
    strategy => 'gcra', burst => 3, name => 'x', error_message => 'x',
    exempt_when => 'true', status => 503, dry_run => 'on',
    on_breach => '/x', deduct_when => 'true', reserve => 'on',
    phase => 'early', meta => '1/hour',
);
my ($known) = slurp('src/http/options.c') =~ /known\[\] = \{(.*?)^\};/ms;
my @known = $known =~ /\{ "(\w+)"/g;
my ($options) = $manual =~ /^## Options of a limit\n(.*?)^## /ms;
my %where = $options =~ /^\| `(\w+)=.*?` \| ([ADFMRS ]+) \|/mg;
is_deeply([sort keys %where], [sort @known], 'every option and no other');
is_deeply([sort keys %value], [sort @known], 'and this test knows them all');
my %kind = (
    A => [RateLimitApplication => 'server config', ''],
    M => [RateLimitMeta => 'server config', ''],
    F => [RateLimitFallback => 'server config', ''],
    D => [RateLimitDefault => 'server config', ''],
    R => [RateLimit => 'directory', ''],
    S => [RateLimitShared => 'directory', ' scope=s'],
);
for my $option (@known) {
    my @allowed = grep {
        my ($name, $place, $more) = @{ $kind{$_} };
        $more = '' if $option eq 'scope';
        $more .= ' strategy=gcra' if $option eq 'burst';
        $more .= ' deduct_when=true' if $option eq 'reserve';
        config_is_good($place{$place}->(
            qq($name "1 per day"$more $option=$value{$option})));
    } sort keys %kind;
    is($where{$option}, "@allowed", "$option=: where it may stand");
}

for ([shm => 'shm'], [redis => 'redis_uri'], [memcached => 'memcached']) {
    my ($name, $file) = @$_;
    my ($table) = slurp("src/store/$file.c")
        =~ /${name}_options\[\] = \{(.*?)^\};/ms;
    my ($rows) = $section{RateLimitStorage}
        =~ m{^\| option of `$name://` \|.*?\n\|-.*?\n(.*?)\n\n}ms;
    my @options = $table =~ /\{ "(\w+)"/g;
    # Those of the deny cache, which stands before it.
    push @options, slurp('src/store/deny.h') =~ /(\w+)= and (\w+)=/
        if $name eq 'redis';
    is_deeply([($rows // '') =~ /^\| `(\w+)=` \|/mg], \@options,
              "the options of $name://");
}

### Log tags

my %tag;
for my $file (glob('src/*/*.c mod_ratelimit_ext.c')) {
    $tag{$_}++ for slurp($file) =~ /\bRLXNO\((\d+)\)/g;
}
is_deeply([grep { $tag{$_} > 1 } sort keys %tag], [],
          'no log tag is used twice');
my ($logs) = $manual =~ /^## Logs\n(.*?)^## /ms;
is_deeply([$logs =~ /^\| RLX(\d+) \|/mg], [sort keys %tag],
          'every log tag and no other, in order');

### Members of JSON: the schema and docs/status.md have the same

my $status = slurp('docs/status.md');
my $schema = JSON::PP->new->utf8->decode(slurp('docs/status.schema.json'));
my ($json) = $status =~ /^## JSON\n(.*?)^## /ms;
my ($top_table, $nested) = $json =~ /^\| member .*?\n(.*?)\n\n.*?^\| of \|.*?\n(.*?)\n\n/ms;
my @members = map { /`(\w+)`/g } $top_table =~ /^\| (`[^|]*) \|/mg;
is_deeply([ sort @members, 'htaccess_left_out' ], [ sort keys %{ $schema->{properties} } ],
          'JSON: every member at the top, and no other');
like($top_table, qr/`htaccess_left_out`/, 'that one stands with htaccess');
my %of;
for my $row ($nested =~ /^\| (.*\|.*) \|$/mg) {
    my ($what, $members) = split / \| /, $row;
    $of{$what} = [ sort $members =~ s/\([^)]*\)//gr =~ /`(\w+)`/g ];
}
# What a member, or each of a list, has.
sub properties {
    my ($node, @way) = @_;
    $node = $node->{items} || $node if $node->{items};
    if (my ($object) = grep { $_->{properties} } @{ $node->{anyOf} || [] }) { $node = $object }
    if (my ($list) = grep { $_->{items} } @{ $node->{anyOf} || [] }) { $node = $list->{items} }
    return $node->{properties} if !@way;
    my $next = shift @way;
    return properties($node->{properties}{$next}, @way);
}
my %way = (
    server => [], config => [], storage => [], round_trips => [qw(storage round_trips)],
    counters => [], 'limits` in it' => [qw(counters limits)],
    trial => [qw(counters limits trial)], top_refused => [], servers => [], htaccess => [],
    'sections` in it' => [qw(htaccess sections)], warnings => [], path => [],
    'sections` in that' => [qw(path sections)], key => [],
    'counters` in that' => [qw(key counters)],
);
for my $name (sort keys %way) {
    my @way = @{ $way{$name} } ? @{ $way{$name} } : $name;
    my $what = "`$name" . ($name =~ /`/ ? '' : '`');
    is_deeply(delete $of{$what}, [ sort keys %{ properties($schema, @way) } ],
              "JSON: $what, as the schema has it");
}
for my $name (qw(limit section)) {
    is_deeply(delete $of{"a $name"}, [ sort keys %{ $schema->{'$defs'}{$name}{properties} } ],
              "JSON: a $name");
}
is_deeply([ keys %of ], [], 'and nothing else');
my ($of_path) = $nested =~ /^\| `path` .*\((.*)\)/m;
my %is_of_limit = map { $_ => 1 } keys %{ $schema->{'$defs'}{limit}{properties} };
is_deeply([ sort $of_path =~ /`(\w+)`/g ],
          [ sort grep { !$is_of_limit{$_} }
                 map { keys %{ $_->{properties} || {} } } $schema->{'$defs'}{path_limit},
                 @{ $schema->{'$defs'}{path_limit}{allOf} || [] } ], 'JSON: a limit of a path');

### Metrics, variables, keys of mod_status: the sources and the manuals

my ($metrics) = $status =~ /^## Metrics\n(.*?)^## /ms;
my ($prefix) = slurp('src/report/series.c') =~ /define PREFIX "(\w+)"/;
my ($families) = slurp('src/report/prometheus.c') =~ /families\[\] = \{(.*?)^\};/ms;
is_deeply([ map { s/_(?:total|info)$//r } $metrics =~ /^\| `(\w+)` \| \w+ \|/mg ],
          [ map { $prefix . $_ } $families =~ /^    \{ \{ RLX_METRIC_\w+, "(\w+)"/mg ],
          'every metric and no other, in order');
my ($variables) = $manual =~ /^### Variables\n(.*?)^## /ms;
is_deeply([ sort $variables =~ /^\| `(RATELIMIT_\w+)` \|/mg ],
          [ sort { $a cmp $b } slurp('src/http/environment.c') =~ /"(RATELIMIT_[A-Z]+)"/g ],
          'every variable and no other');
my ($of_mod_status) = $status =~ /in its `\?auto` they\n(.*?)\n\n/ms;
is_deeply([ sort $of_mod_status =~ /`(RateLimit\w+)`/g ],
          [ sort { $a cmp $b } auto_keys() ], 'every key of ?auto and no other');
sub auto_keys {
    my $h = RateLimit::Httpd->start(children => 1, conf => <<'END');
ExtendedStatus On
<Location "/server-status">
    SetHandler server-status
</Location>
RateLimitDefault 5/minute
END
    return $h->client->get('/server-status?auto')->body =~ /^(RateLimit\w+):/mg;
}

### README

my $readme = slurp('README.md');
like($readme, qr/^make -f Makefile\.apxs $_\b/m, "README: the command $_")
    for qw(demo test);
my ($quick) = $readme =~ /^## Quick start\n.*?^```apache\n(.*?)^```/ms;
my $conf = slurp('conf.d/quickstart.conf') =~ s/^#.*\n//mgr =~ s/^\n//mgr;
is($quick, $conf, 'the quick start in README is conf.d/quickstart.conf');

### Links between the files

sub anchors {
    my ($file) = @_;
    return map { (lc =~ s/[^\w\- ]//gr =~ s/ /-/gr) => 1 }
        slurp($file) =~ /^#+ (.*)$/mg;
}
for my $file ('README.md', glob('*/README.md'), glob('docs/*.md')) {
    my ($dir) = $file =~ m{^(.*/)?};
    my $text = slurp($file) =~ s/^```.*?^```//msgr;
    my @broken;
    for my $link ($text =~ /\]\(([^)\s]+)\)/g) {
        next if $link =~ /^https?:/;
        my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
        my $target = $path eq '' ? $file : ($dir // '') . $path;
        1 while $target =~ s{[^/]+/\.\./}{};
        my %has = defined $anchor && -e $target ? anchors($target) : ();
        push @broken, $link
            if !-e $target || (defined $anchor && !$has{$anchor});
    }
    is_deeply(\@broken, [], "$file: links lead somewhere");
}
done_testing;
