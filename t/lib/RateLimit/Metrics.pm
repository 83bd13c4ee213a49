# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What limiter-status says of metrics, read as strictly as it is written:
#
#   my $m = RateLimit::Metrics->of($h);              # Prometheus 0.0.4
#   my $m = RateLimit::Metrics->of($h, 'openmetrics');
#   my $m = RateLimit::Metrics->read($text, $is_openmetrics);
#   $m->wrong;                                       # what is not as it should be
#   $m->value('ratelimit_storage_up', kind => 'shm');
package RateLimit::Metrics;
use strict;
use warnings;

use Encode ();

# What Prometheus 2.42 says that it takes.
our $ACCEPT = 'application/openmetrics-text;version=1.0.0,'
    . 'application/openmetrics-text;version=0.0.1;q=0.75,'
    . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

# Asked at $path (/limiter-status).
sub of {
    my ($class, $h, $format, $path) = @_;
    $path ||= '/limiter-status';
    my $om = ($format // '') eq 'openmetrics';
    my $r = $om ? $h->client->get($path, Accept => $ACCEPT)
                : $h->client->get("$path?format=prometheus");
    my $self = $class->read($r->body, $om);
    my $type = $om ? 'application/openmetrics-text; version=1.0.0; charset=utf-8'
                   : 'text/plain; version=0.0.4; charset=utf-8';
    push @{ $self->{wrong} }, 'status ' . $r->code if $r->code != 200;
    push @{ $self->{wrong} }, 'type ' . $r->header('Content-Type')
        if ($r->header('Content-Type') // '') ne $type;
    return $self;
}

sub read {
    my ($class, $text, $om) = @_;
    my $self = bless { text => $text, om => $om, family => {}, series => [],
                       wrong => [], seen => {} }, $class;
    eval { Encode::decode('UTF-8', my $copy = $text, 1); 1 }
        or push @{ $self->{wrong} }, 'not UTF-8';
    my @lines = split /\n/, $text, -1;
    push @{ $self->{wrong} }, 'no line feed at the end' if pop @lines ne '';
    push @{ $self->{wrong} }, 'no EOF' if $om && pop @lines ne '# EOF';
    $self->_line($_) for @lines;
    return $self;
}

sub text   { $_[0]{text} }
sub wrong  { $_[0]{wrong} }
# Names as they are in series, in the order of the text, and what is said of them:
# { type, help, unit, labels => { name => 1 } }.
sub names  { @{ $_[0]{order} } }
sub family { $_[0]{family}{ $_[1] } }
# [name, { label => value }, value] each; of one name, if that is given.
sub series {
    my ($self, $name) = @_;
    return grep { !defined $name || $_->[0] eq $name } @{ $self->{series} };
}

# The value of the series that has these labels; undef: there is none, or more
# than one.
sub value {
    my ($self, $name, %labels) = @_;
    my @found = grep {
        my $has = $_->[1];
        !grep { ($has->{$_} // '') ne $labels{$_} } keys %labels;
    } $self->series($name);
    return @found == 1 ? $found[0][2] : undef;
}

### The rest is for this file alone

my %suffix = (counter => '_total', info => '_info', gauge => '', histogram => '');

sub _line {
    my ($self, $line) = @_;
    my $good = $line =~ /^# (HELP|TYPE|UNIT) ([a-z_]+) (.+)$/ ? $self->_head($1, $2, $3)
             : $line =~ /^([a-z_]+)(?:\{(.*)\})? (\S+)$/ ? $self->_series($1, $2, $3)
             : 0;
    push @{ $self->{wrong} }, $line if !$good;
}

sub _head {
    my ($self, $keyword, $name, $what) = @_;
    if ($keyword eq 'HELP') {
        $self->{now} = { family => $name, help => $what, labels => {} };
        return $what !~ /[\\"]/ && !$self->{known}{$name}++;
    }
    my $now = $self->{now} or return 0;
    return 0 if $now->{family} ne $name;
    if ($keyword eq 'UNIT') {
        $now->{unit} = $what;
        return $self->{om} && $name =~ /_$what$/;
    }
    return 0 if $now->{type};
    $now->{type} = $what;
    my $suffix = $suffix{$what} // return 0;
    # Each form has the suffix where it wants it.
    return 0 if $self->{om} && $suffix && $name =~ /$suffix$/
                || !$self->{om} && ($what eq 'info' || $name !~ /$suffix$/);
    my $full = $self->{om} ? "$name$suffix" : $name;
    $self->{family}{$full} = $now;
    push @{ $self->{order} }, $full;
    return 1;
}

sub _series {
    my ($self, $name, $labels, $value) = @_;
    my $now = $self->{now} or return 0;
    my $family = $self->{order}[-1] // '';
    my $is_its = ($now->{type} // '') eq 'histogram'
        ? $name =~ /^\Q$family\E_(?:bucket|sum|count)$/ : $name eq $family;
    return 0 if !$is_its || $value !~ /^\d+(?:\.\d+)?$/;
    my %label;
    for ($labels // '') {
        while (/\G([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/gc) {
            my ($label, $text) = ($1, $2);
            return 0 if exists $label{$label} || $text eq '';
            $label{$label} = $text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
        }
        return 0 if (pos // 0) != length;
    }
    $now->{labels}{$_} = 1 for keys %label;
    push @{ $self->{series} }, [$name, \%label, $value];
    return !$self->{seen}{ join "\0", $name, map { ($_, $label{$_}) } sort keys %label }++;
}

1;
