# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A Prometheus of its own for one test, that scrapes one address each second: on
# a free port of loopback, gone when the object is.
#
#   my $p = RateLimit::Prometheus->start($h->port, '/limiter-status');
#   my $result = $p->ask('query', query => 'up');      # of its HTTP API
package RateLimit::Prometheus;
use strict;
use warnings;

use HTTP::Tiny ();
use JSON::PP ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use RateLimit::Place qw(free_port public_tempdir);

my $owner = $$;

sub start {
    my ($class, $port, $path) = @_;
    my $self = bless { port => free_port(), dir => public_tempdir('prometheus') },
        $class;
    open my $fh, '>', "$self->{dir}/prometheus.yml" or die $!;
    print $fh <<"END";
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: ratelimit
    metrics_path: $path
    static_configs:
      - targets: ["127.0.0.1:$port"]
END
    close $fh or die $!;
    my @command = ('prometheus', "--config.file=$self->{dir}/prometheus.yml",
                   "--storage.tsdb.path=$self->{dir}/data", '--log.level=warn',
                   "--web.listen-address=127.0.0.1:$self->{port}");
    # A test that is killed must not leave its server behind.
    unshift @command, qw(setpriv --pdeathsig KILL)
        if grep { -x "$_/setpriv" } split /:/, $ENV{PATH};
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        chdir "$self->{dir}";
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    return $self;
}

# What its API says, until that is a list with something in it, or 15 s are over.
sub ask {
    my ($self, $what, %query) = @_;
    my $http = HTTP::Tiny->new(timeout => 2);
    my $args = $http->www_form_urlencode(\%query);
    my $until = time() + 15;
    while (time() < $until && !waitpid $self->{pid}, WNOHANG) {
        my $r = $http->get("http://127.0.0.1:$self->{port}/api/v1/$what?$args");
        my $data = $r->{success} && JSON::PP::decode_json($r->{content})->{data};
        my $list = ref $data eq 'HASH' ? $data->{result} || $data->{activeTargets}
                                       : $data;
        return $list if ref $list && @$list;
        sleep 0.1;
    }
    return [];
}

# What its API says against a query; "" if it takes it.
sub complaint {
    my ($self, $query) = @_;
    my $http = HTTP::Tiny->new(timeout => 5);
    my $r = $http->get("http://127.0.0.1:$self->{port}/api/v1/query?"
                       . $http->www_form_urlencode({ query => $query }));
    return $r->{success} ? '' : $r->{content};
}

sub log {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/log" or return '';
    local $/;
    return readline($fh) // '';
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    return if $$ != $owner;
    # What it has stored is thrown away: there is nothing to end well.
    kill KILL => $pid;
    waitpid $pid, 0;
}

sub DESTROY { local ($?, $@); $_[0]->stop }

1;
