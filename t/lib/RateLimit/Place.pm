# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Where things are on this machine: httpd, its modules, ours, free ports,
# directories that the children of httpd can read.
package RateLimit::Place;
use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET ();
use Exporter 'import';
our @EXPORT_OK = qw(top apxs apxs_query httpd_path module_path load_modules
                    others_can_read public_tempdir port_is_free free_port
                    slurp slurp_if_there);

my $top = Cwd::realpath(dirname(__FILE__) . '/../../..');
sub top { $top }

# All of a file; of one that is not there, it dies, or gives "".
sub slurp { return _slurp($_[0]) // die "$_[0]: $!" }
sub slurp_if_there { return _slurp($_[0]) // '' }

sub _slurp {
    open my $fh, '<', $_[0] or return;
    local $/;
    return scalar(readline $fh) // '';
}

# No httpd of these tests is behind a proxy.
delete @ENV{qw(http_proxy HTTP_PROXY https_proxy all_proxy ALL_PROXY)};
$ENV{no_proxy} = $ENV{NO_PROXY} = '127.0.0.1,localhost';

my $apxs;
sub apxs {
    return $apxs ||= do {
        my @dirs = split /:/, $ENV{PATH};
        my ($found) = grep { defined && length && -x }
            $ENV{APXS}, map { ("$_/apxs", "$_/apxs2") } @dirs, '/usr/sbin';
        $found or die "no apxs: build-aux/install-deps.sh test\n";
    };
}

my %answer;
sub apxs_query {
    my ($name) = @_;
    return $answer{$name} //= do {
        my $text = qx(@{[apxs()]} -q $name 2>/dev/null);
        chomp $text;
        $text;
    };
}

sub httpd_path {
    return $ENV{RLX_HTTPD} if $ENV{RLX_HTTPD};
    return apxs_query('SBINDIR') . '/' . apxs_query('TARGET');
}

sub module_path { $ENV{RLX_MODULE} || "$top/.libs/mod_ratelimit_ext.so" }

# LoadModule lines for those of the modules that are there as files: httpd's,
# and those of t/modules.
sub load_modules {
    return join '', map {
        my $file = module_file($_);
        -e $file ? qq(LoadModule ${_}_module "$file"\n) : ()
    } @_;
}

sub module_file {
    my ($name) = @_;
    my $file = apxs_query('LIBEXECDIR') . "/mod_$name.so";
    my $source = "$top/t/modules/mod_$name.c";
    return $file if !-e $source;
    $file = "$top/build/modules/.libs/mod_$name.so";
    -e $file && -M $file <= -M $source
        or die "$file is old or not there: make -f Makefile.apxs test-modules\n";
    return $file;
}

# Can everybody read this directory, and walk to it?
sub others_can_read {
    my ($dir) = @_;
    my $mode = (stat $dir)[2] // return 0;
    return 0 if ($mode & 5) != 5;
    while (($dir = dirname($dir)) ne '/') {
        return 0 if !((stat $dir)[2] & 1);
    }
    return 1;
}

# A directory for a server, gone when the returned object is. TMPDIR may be
# private to this user; the children of httpd are another.
sub public_tempdir {
    my ($name) = @_;
    my ($base) = grep { -d && -w && ($> || others_can_read($_)) }
        grep { defined } $ENV{TMPDIR}, '/tmp', '/var/tmp';
    my $dir = File::Temp->newdir("rlx-$name-XXXXXX", DIR => $base // '/tmp');
    chmod 0755, "$dir";
    return $dir;
}

sub port_is_free {
    my ($port) = @_;
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                 LocalPort => $port, ReuseAddr => 1);
}

# Below the ports that the kernel gives to clients and that the suite reserves.
# Who gets one may take his time to listen there: as long as this process lives,
# a UDP socket on the same number tells other tests, in other clones too, to
# look elsewhere.
my %taken;
sub free_port {
    for (1 .. 200) {
        my $port = 10000 + int rand 10000;
        my $mark = !$taken{$port} && port_is_free($port)
            && IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
                                     LocalPort => $port) || next;
        $taken{$port} = $mark;
        return $port;
    }
    die "no free port\n";
}

# The first of a hundred ports for one run of the suite: each of its virtual
# hosts takes one. The last is held as long as this process lives and tells
# other runs, in other clones, to look elsewhere.
my $held;
sub reserve_ports {
    TRY: for (1 .. 100) {
        my $base = 20000 + 100 * int rand 120;
        $held = port_is_free($base + 99) or next;
        port_is_free($_) or next TRY for $base .. $base + 60;
        return $base;
    }
    die "no hundred free ports in a row\n";
}

# Runs a script of this checkout in a copy that everybody can read, and brings
# the server's logs back. Returns the exit status.
sub run_in_copy {
    my ($from, $script, @args) = @_;
    if (grep { /^-(start|stop)-httpd$/ } @args) {
        die "$from is not readable for others, and so not for the children\n"
          . "of a server started by root: chmod it, or clone elsewhere\n";
    }
    my $dir = public_tempdir('suite');
    my $to  = "$dir/tree";
    system('sh', '-c', 'mkdir "$2" && cd "$1" && tar cf - --exclude=./.git .'
         . ' | (cd "$2" && tar xof -) && chmod -R go+rX "$2"', '-', $from, $to) == 0
        or die "can not copy $from to $to\n";
    my $status = system $^X, "$to/$script", @args;
    system 'rm', '-rf', "$from/t/logs";
    system 'cp', '-r', "$to/t/logs", "$from/t/logs" if -d "$to/t/logs";
    return $status ? ($status >> 8 || 1) : 0;
}

1;
