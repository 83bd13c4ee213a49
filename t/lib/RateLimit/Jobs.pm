# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Test files side by side, each by a prove of its own; what one says comes out
# in one piece when it is over.
#
#   my @failed = RateLimit::Jobs::run($jobs, @files);
package RateLimit::Jobs;
use strict;
use warnings;

use File::Temp ();

# What takes longest begins first, so that nothing waits for it in the end: a
# file may say how many seconds it takes, "# seconds: 20".
sub longest_first {
    my %seconds;
    for my $file (@_) {
        open my $fh, '<', $file or die "$file: $!\n";
        local $_;
        while (<$fh>) {
            last if !/^#/;
            $seconds{$file} = $1 if /^# seconds: (\d+)/;
        }
    }
    return sort { ($seconds{$b} // 0) <=> ($seconds{$a} // 0) || $a cmp $b } @_;
}

sub start {
    my ($file) = @_;
    my $said = File::Temp->new;
    my $pid = fork // die "fork: $!\n";
    return { pid => $pid, file => $file, said => $said } if $pid;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>&', $said;
    open STDERR, '>&', \*STDOUT;
    exec $^X, '-MApp::Prove', '-e',
        'my $app = App::Prove->new; $app->process_args(@ARGV); exit !$app->run',
        '--', '-v', $file;
    die "exec: $!\n";
}

sub show {
    my ($job) = @_;
    local $| = 1;
    open my $fh, '<', "$job->{said}" or die $!;
    print while <$fh>;
}

# The files that failed. This process has no other children.
sub run {
    my ($jobs, @files) = @_;
    my (%running, @failed);
    @files = longest_first(@files);
    while (@files || %running) {
        while (@files && keys %running < $jobs) {
            my $job = start(shift @files);
            $running{ $job->{pid} } = $job;
        }
        my $job = delete $running{ wait() } or next;
        push @failed, $job->{file} if $?;
        show($job);
    }
    return @failed;
}

1;
