# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private httpd for one test: a ServerRoot of its own below /tmp, a free
# port on loopback, several children, gone when the object is.
#
#   my $h = RateLimit::Httpd->start(conf => <<'END', faketime => 1);
#       <Location "/a">
#           RateLimit "3 per minute"
#       </Location>
#   END
#   $h->client->get('/a');  $h->advance(60);  $h->graceful;  $h->stop;
#   my ($exit, $output) = RateLimit::Httpd->config_test('RateLimitDefault no');
package RateLimit::Httpd;
use strict;
use warnings;

use POSIX qw(setsid WNOHANG);
use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep time);
use RateLimit::Client ();
use RateLimit::Place qw(slurp_if_there top httpd_path module_path load_modules public_tempdir
                        port_is_free free_port);

my @default_modules = qw(authn_core authz_core authz_host alias dir env headers
                         log_config mime remoteip setenvif status unixd);
my @test_modules = qw(authn_core authz_core alias env headers setenvif unixd);

my %running;        # pid => weak reference, for END
my $owner = $$;     # children that a test forks own no server
my $crashes = 0;

# Starts a server and returns when all its children are there.
#   conf      directives; @PORT@, @PORT2@ ... @PORT9@ (each with its Listen),
#             @DIR@ and @DOCROOT@ are replaced
#   mpm       event, worker or prefork; $ENV{MPM}, or event
#   modules   more modules to load than the usual ones, without mod_
#   files     { path => content } below the document root
#   children  how many (2; prefork 4)
#   faketime  1, or the time to start at: its clock stands still until
#             set_time or advance moves it
#   crash_ok  do not fail the test if a child dies of a signal by itself
#   bare      without our module
# Dies with the server's own words if it does not start.
sub start {
    my ($class, %arg) = @_;
    my $why;
    for (1 .. 5) {
        my $self = $class->_prepare(%arg);
        $why = $self->_launch;
        return $self if !defined $why;
        last if $why !~ /could not bind|Address already in use/;
    }
    die "httpd did not start:\n$why";
}

sub port     { $_[0]{port}[ ($_[1] // 1) - 1 ] }
sub pid      { $_[0]{pid} }
sub dir      { "$_[0]{dir}" }
sub docroot  { "$_[0]{dir}/htdocs" }
sub mpm      { $_[0]{mpm} }
sub url      { my ($self, $path) = @_;
               return 'http://127.0.0.1:' . $self->port . ($path // '/') }
# A client with a connection of its own; client(2) goes to @PORT2@.
sub client {
    my ($self, $n) = @_;
    my $client = RateLimit::Client->new(port => $self->port($n));
    weaken($self->{client}{0 + $client} = $client);
    return $client;
}

# The process ids of the children.
sub children {
    my ($self) = @_;
    my @pids = sort { $a <=> $b } _children_of($self->{pid});
    return @pids;
}

# The error log; what follows a mark alone, if one is given.
sub error_log {
    my ($self, $mark) = @_;
    return substr slurp_if_there("$self->{dir}/error_log"), $mark // 0;
}
sub mark { length slurp_if_there("$_[0]{dir}/error_log") }
sub access_log { slurp_if_there("$_[0]{dir}/access_log") }

# Writes a file below the document root, or below the server root if the path
# begins with "../".
sub write {
    my ($self, $path, $content) = @_;
    my $file = "$self->{dir}/htdocs/$path";
    my $dir = '';
    for (split m{/}, $file =~ s{/[^/]*$}{}r) {
        $dir .= "$_/";
        mkdir $dir;
    }
    return _spew($file, $content);
}

# Replaces the directives; a restart makes them count.
sub set_conf {
    my ($self, $conf) = @_;
    $self->{arg}{conf} = $conf;
    return $self->_write_conf;
}

# Graceful restart: returns when the new generation answers alone. Closes the
# connections of its clients first: with a clock that stands still, the old
# children would wait for them for ever.
sub graceful { $_[0]->_restart('USR1') }
# The restart that cuts connections.
sub restart  { $_[0]->_restart('HUP') }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    return if $$ != $owner;
    # A child of the event MPM that is told to stop while one of its threads
    # frees a connection now and then dies in apr_os_sock_get: httpd's own.
    $_ && $_->close for values %{ $self->{client} || {} };
    sleep 0.05;
    my @children = _children_of($pid);
    kill TERM => $pid;
    if (_wait_for(10, sub { waitpid($pid, WNOHANG) != 0 })) {
        _crashed('the parent ended by signal ' . ($? & 127))
            if $? & 127 && !$self->{arg}{crash_ok};
    }
    else {
        kill KILL => $pid, @children;
        waitpid $pid, 0;
        print STDERR "# httpd $pid did not stop within 10 s: killed\n";
    }
    $self->_look_for_crashes;
}

# What the server takes for the time, in seconds with a fraction.
sub now { $_[0]{time} }
sub advance { my ($self, $sec) = @_; return $self->set_time($self->{time} + $sec) }
sub set_time {
    my ($self, $epoch) = @_;
    defined $self->{time} or die "this server was not started with faketime\n";
    # The server has the file mapped: it is written in place.
    open my $fh, -e "$self->{dir}/time" ? '+<' : '>', "$self->{dir}/time"
        or die "$self->{dir}/time: $!";
    syswrite($fh, pack('q', sprintf '%.0f', $epoch * 1e6)) == 8
        or die "$self->{dir}/time: $!";
    return $self->{time} = $epoch;
}

# What another program has to find in its environment to share this clock.
sub clock { $_[0]->_environment }

# httpd -t over a small configuration with the snippet in it: its exit status
# and all that it said. Further arguments are -D defines. %more: modules => []
my $test_dir;
sub config_test {
    my ($class, $snippet, @defines) = @_;
    my %more = @defines && ref $defines[0] ? %{ shift @defines } : ();
    $test_dir ||= public_tempdir('conf');
    _spew("$test_dir/httpd.conf", join '', <<"END",
ServerRoot "$test_dir"
DocumentRoot "$test_dir"
ServerName localhost
Listen 127.0.0.1:8080
PidFile "$test_dir/pid"
ErrorLog "$test_dir/error_log"
END
        load_modules("mpm_" . ($more{mpm} || $ENV{MPM} || 'event'),
                     @test_modules, @{ $more{modules} || [] }),
        sprintf(qq(LoadModule ratelimit_ext_module "%s"\n), module_path()),
        "# snippet\n", $snippet, "\n");
    my @command = (httpd_path(), '-t', '-d', "$test_dir",
                   '-f', "$test_dir/httpd.conf", map { "-D$_" } @defines);
    my $output = qx(@{[join ' ', map { "'$_'" } @command]} 2>&1);
    _crashed($output) if $output =~ /Sanitizer|runtime error:/;
    return ($? >> 8 || $? & 127, $output);
}

### The rest is for this file alone

sub _prepare {
    my ($class, %arg) = @_;
    my $self = bless {
        arg => \%arg, port => [], dir => public_tempdir('httpd'),
        mpm => $arg{mpm} || $ENV{MPM} || 'event',
    }, $class;
    mkdir "$self->{dir}/htdocs";
    $self->write('index.html', "hello\n");
    $self->write($_, $arg{files}{$_}) for keys %{ $arg{files} || {} };
    my ($ports) = sort { $b <=> $a } ($arg{conf} // '') =~ /\@PORT([2-9])\@/g;
    push @{ $self->{port} }, free_port() for 1 .. $ports // 1;
    if (my $time = $arg{faketime}) {
        $self->{time} = $time == 1 ? 1_800_000_000 : $time;
        $self->set_time($self->{time});
    }
    $self->_write_conf;
    return $self;
}

sub _write_conf {
    my ($self) = @_;
    my ($dir, $arg) = ($self->{dir}, $self->{arg});
    my $conf = $arg->{conf} // '';
    my $listen = join '', map { "Listen 127.0.0.1:$_\n" } @{ $self->{port} };
    $conf =~ s/\@PORT(\d?)\@/$self->port($1 || 1)/ge;
    $conf =~ s/\@DIR\@/$dir/g;
    $conf =~ s/\@DOCROOT\@/$dir\/htdocs/g;
    _spew("$dir/httpd.conf", join '',
        load_modules("mpm_$self->{mpm}", @default_modules,
                     @{ $arg->{modules} || [] }),
        $arg->{bare} ? ''
            : sprintf(qq(LoadModule ratelimit_ext_module "%s"\n), module_path()),
        $listen, _user(), _base($dir),
        _processes($self->{mpm}, $arg->{children}), $conf, "\n");
}

sub _base {
    my ($dir) = @_;
    return <<"END";
ServerRoot "$dir"
ServerName localhost
DefaultRuntimeDir "$dir"
PidFile "$dir/pid"
Mutex default:$dir
ErrorLog "$dir/error_log"
LogLevel info
DocumentRoot "$dir/htdocs"
KeepAlive On
MaxKeepAliveRequests 0
GracefulShutdownTimeout 5
<IfModule mod_log_config.c>
    CustomLog "$dir/access_log" "%a %>s %r"
</IfModule>
<IfModule mod_mime.c>
    TypesConfig /dev/null
    AddType text/html .html
    AddType text/plain .txt
</IfModule>
<IfModule mod_dir.c>
    DirectoryIndex index.html
</IfModule>
<IfModule mod_remoteip.c>
    RemoteIPHeader X-Forwarded-For
    RemoteIPInternalProxy 127.0.0.1
</IfModule>
<IfModule mod_cgid.c>
    ScriptSock "$dir/cgisock"
</IfModule>
END
}

sub _user {
    return '' if $> != 0;
    my $group = getgrnam('nogroup') ? 'nogroup' : 'nobody';
    return "User nobody\nGroup $group\n";
}

# As many children as asked for, from the start and always.
sub _processes {
    my ($mpm, $n) = @_;
    if ($mpm eq 'prefork') {
        $n ||= 4;
        my $max = 2 * $n;
        return "StartServers $n\nMinSpareServers $n\nMaxSpareServers $max\n"
             . "MaxRequestWorkers $max\n";
    }
    # A child of the event MPM whose threads are all at work closes the kept
    # connections that it has: there are more than any test has connections.
    $n ||= 2;
    my $threads = 25;
    my ($all, $limit) = ($threads * $n, 4 * $n);
    return "StartServers $n\nServerLimit $limit\nThreadsPerChild $threads\n"
         . "MinSpareThreads $all\nMaxSpareThreads $all\n"
         . "MaxRequestWorkers $all\n";
}

# Starts httpd in the foreground, a child of this process. Returns nothing if
# it came up, else what it said.
sub _launch {
    my ($self) = @_;
    my $dir = $self->{dir};
    my %env = $self->_environment;
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        # httpd signals its whole process group when it stops.
        setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stderr";
        open STDERR, '>&', \*STDOUT;
        my @command = ('env', (map { "$_=$env{$_}" } sort keys %env),
                       httpd_path(), '-DFOREGROUND', '-d', "$dir",
                       '-f', "$dir/httpd.conf");
        # A test that is killed must not leave its server behind.
        unshift @command, qw(setpriv --pdeathsig TERM)
            if grep { -x "$_/setpriv" } split /:/, $ENV{PATH};
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $gone;
    my $up = _wait_for(20, sub {
        $gone = waitpid($pid, WNOHANG) != 0;
        return $gone || $self->_is_up(1);
    });
    if ($up && !$gone) {
        weaken($running{$pid} = $self);
        return;
    }
    my $why = join '', map { slurp_if_there("$dir/$_") } qw(stderr error_log);
    $gone ? delete $self->{pid} : $self->stop;
    return $why || "no reason given\n";
}

sub _environment {
    my ($self) = @_;
    return if !$self->{time};
    return (LD_PRELOAD => _clock_library(),
            RLX_CLOCK_FILE => "$self->{dir}/time");
}

# The settable clock, compiled when it is not there yet.
sub _clock_library {
    my $source = top() . '/t/lib/clock.c';
    my $library = top() . '/build/clock.so';
    if (!-e $library || -M $library > -M $source) {
        mkdir top() . '/build';
        my $cc = $ENV{CC} || 'cc';
        system("$cc -O2 -shared -fPIC -o '$library.$$' '$source' -ldl") == 0
            or die "can not compile $source\n";
        rename "$library.$$", $library or die "$library: $!";
    }
    return $library;
}

# Has this many times been said that it is up, and are the children there?
sub _is_up {
    my ($self, $generation) = @_;
    my $said = () = $self->error_log =~ /resuming normal operations/g;
    my $want = $self->{arg}{children} || ($self->{mpm} eq 'prefork' ? 4 : 2);
    return $said >= $generation && $self->children >= $want;
}

sub _restart {
    my ($self, $signal) = @_;
    my $said = () = $self->error_log =~ /resuming normal operations/g;
    my %old = map { $_ => 1 } $self->children;
    $_ && $_->close for values %{ $self->{client} || {} };
    kill $signal => $self->{pid};
    my $done = _wait_for(20, sub {
        die "httpd is gone:\n" . $self->error_log
            if waitpid($self->{pid}, WNOHANG) != 0;
        return $self->_is_up($said + 1) && !grep { $old{$_} } $self->children;
    });
    $done or die "no new generation within 20 s:\n" . $self->error_log;
    return 1;
}

# A child that dies of a signal that nobody sent fails the test, whatever its
# assertions say; so does a report of a sanitizer.
sub _look_for_crashes {
    my ($self) = @_;
    return if $self->{arg}{crash_ok};
    my @lines = grep {
        /exit signal (?!Killed|Terminated)|Sanitizer|runtime error:/
    } split /\n/, $self->error_log;
    _crashed(@lines) if @lines;
}

sub _crashed {
    my (@lines) = @_;
    $crashes++;
    print STDERR "# $_\n" for 'httpd crashed:',
        @lines[0 .. ($#lines > 40 ? 40 : $#lines)];
}

# Zombies are no children any more.
sub _children_of {
    my ($parent) = @_;
    my @found;
    for my $file (glob '/proc/[0-9]*/stat') {
        my $stat = slurp_if_there($file);
        my ($pid, $state, $ppid) = $stat =~ /^(\d+) \(.*\) (\S) (\d+)/s or next;
        push @found, $pid if $ppid == $parent && $state ne 'Z';
    }
    return @found;
}

sub _wait_for {
    my ($seconds, $test) = @_;
    my $until = time() + $seconds;
    while (!$test->()) {
        return 0 if time() > $until;
        sleep 0.02;
    }
    return 1;
}

# By rename: whoever reads sees the old content or the new, nothing between.
sub _spew {
    my ($file, $content) = @_;
    open my $fh, '>', "$file.new" or die "$file: $!";
    print $fh $content;
    close $fh or die "$file: $!";
    rename "$file.new", $file or die "$file: $!";
    return $file;
}

sub DESTROY { local ($?, $@); $_[0]->stop }

$SIG{$_} ||= sub { exit 130 } for qw(INT TERM HUP);
END {
    if ($$ == $owner) {
        local $?;
        $_ && $_->stop for values %running;
    }
    $? ||= 70 if $crashes && $$ == $owner;
}

1;
