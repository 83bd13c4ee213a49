# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# The JSON of limiter-status and httpd -t -D DUMP_RATELIMIT tell the same: the
# tree of a random configuration, written as the dump writes it from what the
# JSON says. RLX_SEED repeats a configuration.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Encode ();
use Test::More;
use RateLimit::Httpd;
use RateLimit::Json qw(status fits);
use RateLimit::Place ();

my $seed = $ENV{RLX_SEED} // time;
srand $seed;
note "RLX_SEED=$seed";
my %is_flag = map { $_ => 1 } qw(per_method reserve override_defaults dry_run);

### A random configuration

sub one_of { return $_[ rand @_ ] }
sub maybe { my ($percent, @what) = @_; return rand 100 < $percent ? one_of(@what) : () }

my $names = 0;
sub limits {
    return join '; ', map {
        one_of('%{env:PLAN}', map { $_ . '/' . one_of(1, 2, 30) . one_of(qw(s m h d)) } 1, 5, 900)
    } 1 .. one_of(1, 1, 1, 2);
}
sub limit {
    my $limits = limits();
    $limits = '%{env:PLAN}' if $limits =~ /%/;
    my $strategy = one_of(qw(gcra moving-window fixed-window sliding-window-counter));
    return join ' ', qq("$limits"),
        maybe(20, 'key=%{HTTP_HOST}', q(key="-n %{HTTP_HOST} ? 'a b' : 'c'" key=%{REMOTE_ADDR})),
        maybe(20, 'methods=GET', 'methods=POST,PUT', 'methods=GET,DELETE,POST'),
        maybe(10, 'per_method=on'), maybe(10, 'scope=s', 'scope="a %{HTTP_HOST}"'),
        maybe(20, 'cost=2', 'cost=%{env:COST}'), maybe(20, "strategy=$strategy", 'strategy=gcra burst=3'),
        maybe(10, q(exempt_when="req('X') == 'y'")),
        maybe(20, 'deduct_when="%{REQUEST_STATUS} == 401"',
              'deduct_when="%{REQUEST_STATUS} == 401" reserve=on'),
        maybe(10, 'phase=early'), maybe(40, 'override_defaults=off'),
        ($limits =~ /;/ ? () : maybe(10, 'name=n' . ++$names)), maybe(10, 'error_message="so \"slow\" é"'),
        maybe(10, 'on_breach=/b'), maybe(10, 'status=503'), maybe(10, 'meta="2/day, 1/hour"'),
        maybe(10, 'dry_run=on');
}
sub path { return join '', map { '/' . one_of('a' .. 'c') } 1 .. one_of(1 .. 4) }
sub section {
    my ($inside) = @_;    # what it stands in: L(ocation), D(irectory) or nothing
    my ($type, $path) = @{ one_of(
        $inside eq 'L' ? [ If => q(%{QUERY_STRING} == 'x') ]
        : $inside ? ([ Files => one_of('x', 'x y', '*.html') ], [ FilesMatch => '\.(a|b)$' ],
                     [ If => q(%{QUERY_STRING} == 'x') ])
        : ([ Location => path() ], [ Location => path() ], [ LocationMatch => '^' . path() . '[0-9]+' ],
           [ Location => path() . '/*' ], [ Directory => '/srv' . path() ],
           [ DirectoryMatch => '^/srv' . path() ], [ Files => 'y.html' ],
           [ Proxy => 'http://127.0.0.1:1' . path() ])) };
    return join "\n", qq(<$type "$path">),
        (map { 'RateLimit ' . limit() } 1 .. one_of(0, 1, 1, 2)),
        maybe(20, map { "RateLimitExempt $_" } '', 'All', 'application', 'default ancestors',
              'default meta descendents'),
        maybe(10, 'RateLimitEngine Off', 'RateLimitEngine DryRun'),
        maybe(10, 'RateLimitStrategy gcra'), maybe(10, 'RateLimitEndpoint %{REQUEST_URI}'),
        maybe(10, qq(RateLimitShared "3/hour" scope=z)),
        (!$inside && $type =~ /^([LD])/ ? maybe(30, section($1)) : ()),
        "</$type>";
}
sub server {
    return join "\n", map({ "RateLimitDefault \"" . limits() =~ s/.*%.*/7\/d/sr . '"' } maybe(60, 1)),
        maybe(40, 'RateLimitApplication "100/minute" name=app'),
        maybe(40, 'RateLimitMeta "9/hour" key=%{HTTP_HOST}'),
        maybe(20, 'RateLimitFallback "8/second"'), maybe(20, 'RateLimitStrategy moving-window'),
        map { section('') } 1 .. $_[0];
}
my $conf = join "\n", server(25), map({ my $host = $_;
    "<VirtualHost *:8080>\nServerName h$host", server(25), '</VirtualHost>' } 1 .. 3),
    qq(<Location "/limiter-status">\nSetHandler limiter-status\n</Location>\n);

### The JSON as the dump would have it

sub written {
    my ($value) = @_;
    return $value if $value !~ /[ \t"]/;
    return '"' . $value =~ s/"/\\"/gr . '"';
}
my @order = qw(key methods per_method scope cost burst exempt_when deduct_when reserve phase
               override_defaults name error_message on_breach status meta dry_run);
sub option {
    my ($name, $value) = @_;
    return map { "$name=" . written($_) } @$value if $name eq 'key';
    return "methods=@{[ join ',', @$value ]}" if $name eq 'methods';
    return "$name=" . ($value ? 'on' : 'off') if $is_flag{$name};
    return "$name=" . written($value);
}
sub limit_text {
    my ($depth, $limit, $with_source) = @_;
    my $only = $limit->{holds_for} ? join(', ', @{ $limit->{holds_for} })
             : $limit->{holds_for_all_but} ? 'all but ' . join(', ', @{ $limit->{holds_for_all_but} })
             : undef;
    return '  ' x $depth . "$limit->{limit}, "
        . join(' ', $limit->{strategy}, map { option($_, $limit->{$_}) }
                                        grep { exists $limit->{$_} } @order)
        . (defined $only ? ", for $only" : '')
        . ($with_source ? " [$limit->{source}]" : '') . "  ($limit->{declared_at})\n";
}
sub list_text {
    my ($depth, $name, $limits) = @_;
    return $name eq 'effective' ? '  ' x $depth . "effective: none\n" : '' if !@$limits;
    return '  ' x $depth . "$name:\n"
        . join '', map { limit_text($depth + 1, $_, $name eq 'effective') } @$limits;
}
sub section_text {
    my ($depth, $it) = @_;
    my $in = '  ' x ($depth + 1);
    return '  ' x $depth . "$it->{type} $it->{path}  ($it->{declared_at})\n"
        . (defined $it->{within} ? "${in}within: $it->{within}\n" : '')
        . (defined $it->{endpoint} ? "${in}endpoint: $it->{endpoint}\n" : '')
        . (@{ $it->{exempt} } ? "${in}exempt: @{ $it->{exempt} }\n" : '')
        . ($it->{engine} ne 'On' ? "${in}engine: $it->{engine}\n" : '')
        . join('', map { list_text($depth + 1, $_, $it->{$_}) } qw(own effective))
        . join('', map { section_text($depth + 1, $_) } @{ $it->{sections} });
}
sub server_text {
    my ($server) = @_;
    return "  $server->{name}\n"
        . join('', map { list_text(2, $_, $server->{$_}) } qw(application default meta fallback))
        . (@{ $server->{sections} } ? '' : "    no section speaks of limits\n")
        . join('', map { section_text(2, $_) } @{ $server->{sections} });
}

### The two

my $h = RateLimit::Httpd->start(conf => $conf, modules => [qw(proxy proxy_http)]);
my $dir = $h->dir;
my $dump = qx('@{[RateLimit::Place::httpd_path()]}' -t -D DUMP_RATELIMIT -d '$dir' -f '$dir/httpd.conf' 2>/dev/null);
my ($tree) = Encode::decode('UTF-8', $dump) =~ /^Limits\n(.*?)^$/ms;
my $json = status($h->client);
my @said = map { server_text($_) } @{ $json->{servers} };
cmp_ok(length $tree, '>', 20_000, 'the tree is large');
my @want = split /(?=^  \S)/m, $tree;
is(@said, @want, 'as many servers');
for my $i (0 .. $#want) {
    is($said[$i], $want[$i], "$json->{servers}[$i]{name}: the same");
}

# Settings and warnings are lists in both.
my ($settings) = Encode::decode('UTF-8', $dump) =~ /^Configuration\n(.*?)^$/ms;
is(join('', map {
    sprintf("  %-24s %s  (%s)", @$_{qw(directive value)}, $_->{declared_at} // 'default')
        . ($_->{section} || $_->{server} ne '_main' ? " in $_->{server}" : '')
        . ($_->{section} ? ", $_->{section}" : '') . "\n"
} @{ $json->{config} }), $settings, 'the settings');
my ($warnings) = Encode::decode('UTF-8', $dump) =~ /^Warnings(?:: none)?\n(.*)/ms;
is(join('', map { "  at: $_->{declared_at}\n    what: $_->{text}\n    mend: $_->{mend}\n" }
            @{ $json->{warnings} }), $warnings // '', 'the warnings');
ok(fits(), 'and it fits the schema');

done_testing;
