# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A browser without a screen: Chromium, told what to do by chromedriver
# (WebDriver). Each has a profile of its own, and is gone when the object is.
#
#   my $b = RateLimit::Browser->start;
#   $b->screen(360, 740);  $b->dark(1);  $b->scripts(0);
#   $b->open($h->url('/limiter-status'));
#   $b->text('h1');  $b->click('summary');  $b->type('#f-key', '192.0.2.1');
#   $b->press('Enter');  $b->run('return document.title');
#   $b->console;                     # what the console has said since
#   $b->picture('name');             # build/screenshots/name.png, whole page
package RateLimit::Browser;
use strict;
use warnings;

use File::Temp ();
use HTTP::Tiny ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use RateLimit::Place qw(free_port top);

my $owner = $$;
my $json = JSON::PP->new->utf8->allow_nonref;
my $element = 'element-6066-11e4-a52e-4f735466cecf';

my %key = (Enter => "\x{E007}", Tab => "\x{E004}", Space => ' ',
           Escape => "\x{E00C}");

sub start {
    my ($class) = @_;
    my $why = '';
    for (1 .. 3) {
        my $self = bless {
            port => free_port(), http => HTTP::Tiny->new(timeout => 60),
            dir => File::Temp->newdir('rlx-browser-XXXXXX', TMPDIR => 1),
        }, $class;
        return $self if eval { $self->_start_driver; $self->_start_session; 1 };
        $why = $@;
        $self->stop;
    }
    die "no browser: $why";
}

### Pages

# Loads a page. Dies if it is not there within a time.
sub open { my ($self, $url) = @_; return $self->_do(POST => url => { url => $url }) }
sub url  { $_[0]->_do(GET => 'url') }
sub back { $_[0]->_do(POST => back => {}) }

# Runs a function's body in the page; further arguments are its own. Works
# where the page's own scripts are not allowed.
sub run {
    my ($self, $body, @args) = @_;
    return $self->_do(POST => 'execute/sync' => { script => $body, args => \@args });
}

# Waits until an expression is true in the page, which may be another one by
# then. Returns its value, false if it never was.
sub wait_for {
    my ($self, $expression, $sec) = @_;
    my $until = time() + ($sec || 10);
    while (time() < $until) {
        my $value = eval { $self->run("return $expression") };
        return $value if $value;
        sleep 0.05;
    }
    return '';
}

# What a reader sees of an element; '' if there is none.
sub text {
    my ($self, $css) = @_;
    return $self->run('var e = document.querySelector(arguments[0]);'
                      . 'return e ? e.innerText : ""', $css);
}
sub count {
    my ($self, $css) = @_;
    return $self->run('return document.querySelectorAll(arguments[0]).length',
                      $css);
}

### A person's hands

# As a person would, who scrolls until nothing is in front of it.
sub click {
    my ($self, $css) = @_;
    $self->run('var e = document.querySelector(arguments[0]);'
               . 'if (e) e.scrollIntoView({ block: "center", behavior: "instant" })', $css);
    return $self->_at($css, click => {});
}

# Writes over what is in a field.
sub type {
    my ($self, $css, $text) = @_;
    $self->_at($css, clear => {});
    return $self->_at($css, value => { text => $text });
}

# Presses keys wherever the focus is: names of %key.
sub press {
    my ($self, @names) = @_;
    my @steps = map { my $k = $key{$_} || $_;
                      ({ type => 'keyDown', value => $k },
                       { type => 'keyUp', value => $k }) } @names;
    return $self->_do(POST => actions => { actions => [
        { type => 'key', id => 'keyboard', actions => \@steps } ] });
}

# The text of a dialogue that is open, or undef.
sub dialogue { my ($self) = @_; return eval { $self->_do(GET => 'alert/text') } }

# What the console said since it was asked last: "LEVEL text".
sub console {
    my ($self) = @_;
    my $lines = $self->_do(POST => 'se/log' => { type => 'browser' });
    return map { "$_->{level} $_->{message}" } @$lines;
}

### The screen

sub screen {
    my ($self, $width, $height) = @_;
    return $self->cdp('Emulation.setDeviceMetricsOverride', {
        width => $width, height => $height, deviceScaleFactor => 1,
        mobile => $width < 500 ? JSON::PP::true : JSON::PP::false });
}
sub dark {
    my ($self, $is_dark) = @_;
    return $self->cdp('Emulation.setEmulatedMedia', { features => [
        { name => 'prefers-color-scheme', value => $is_dark ? 'dark' : 'light' } ] });
}
# Are scripts of pages run? From the next page on.
sub scripts {
    my ($self, $are_run) = @_;
    return $self->cdp('Emulation.setScriptExecutionDisabled', {
        value => $are_run ? JSON::PP::false : JSON::PP::true });
}

# Writes build/screenshots/NAME.png: the whole page, or what is seen of it.
sub picture {
    my ($self, $name, %arg) = @_;
    my $dir = top() . '/build/screenshots';
    mkdir top() . '/build';
    mkdir $dir;
    my $data = $self->cdp('Page.captureScreenshot', {
        format => 'png', optimizeForSpeed => JSON::PP::true,
        captureBeyondViewport => $arg{seen} ? JSON::PP::false : JSON::PP::true })->{data};
    CORE::open(my $fh, '>:raw', "$dir/$name.png") or die "$dir/$name.png: $!";
    print $fh decode_base64($data);
    close $fh or die "$dir/$name.png: $!";
    return -s "$dir/$name.png";
}

# A command of the DevTools protocol.
sub cdp {
    my ($self, $command, $params) = @_;
    return $self->_do(POST => 'goog/cdp/execute',
                      { cmd => $command, params => $params || {} });
}

### The rest is for this file alone

sub _start_driver {
    my ($self) = @_;
    my $path = _find('chromedriver')
        or die "no chromedriver: build-aux/install-deps.sh test\n";
    my @command = ($path, "--port=$self->{port}", '--allowed-ips=127.0.0.1',
                   '--silent');
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        # A group of its own: what it starts goes with it.
        setpgrp 0, 0;
        $ENV{HOME} = "$self->{dir}";
        CORE::open(STDIN, '<', '/dev/null');
        CORE::open(STDOUT, '>', '/dev/null');
        CORE::open(STDERR, '>', '/dev/null');
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $until = time() + 20;
    while (time() < $until) {
        return if eval { $self->_ask(GET => '/status')->{ready} };
        last if waitpid($pid, WNOHANG);
        sleep 0.05;
    }
    die "chromedriver does not answer\n";
}

sub _start_session {
    my ($self) = @_;
    my @flags = (qw(--headless=new --no-sandbox --disable-gpu --disable-quic
        --disable-dev-shm-usage --no-first-run --disable-background-networking
        --disable-component-update --disable-sync --hide-scrollbars
        --no-default-browser-check --no-proxy-server),
        "--window-size=1280,900", "--user-data-dir=$self->{dir}/profile");
    my $chromium = _find('chromium') || _find('chromium-browser')
        || _find('google-chrome');
    my %options = (args => \@flags, $chromium ? (binary => $chromium) : ());
    my $session = $self->_ask(POST => '/session', { capabilities => {
        alwaysMatch => {
            browserName => 'chrome', 'goog:chromeOptions' => \%options,
            'goog:loggingPrefs' => { browser => 'ALL' },
            unhandledPromptBehavior => 'ignore',
            timeouts => { pageLoad => 30_000, script => 10_000 },
        } } });
    $self->{session} = $session->{sessionId};
    return;
}

sub _find {
    my ($name) = @_;
    my ($path) = grep { -x } map { "$_/$name" }
        split(/:/, $ENV{PATH}), qw(/usr/bin /usr/lib/chromium);
    return $path;
}

# One request to chromedriver; dies with its message if it is not done.
sub _ask {
    my ($self, $method, $path, $body) = @_;
    my $r = $self->{http}->request($method, "http://127.0.0.1:$self->{port}$path", {
        headers => { 'Content-Type' => 'application/json' },
        $body ? (content => $json->encode($body)) : () });
    my $answer = eval { $json->decode($r->{content}) };
    ref $answer eq 'HASH' or die "chromedriver: $r->{status} $r->{content}\n";
    my $value = $answer->{value};
    $r->{success} or die "chromedriver: $value->{error}: $value->{message}\n";
    return $value;
}

sub _do {
    my ($self, $method, $command, $body) = @_;
    return $self->_ask($method, "/session/$self->{session}/$command", $body);
}

# A page that comes again by itself may do so between the look and the hand.
sub _at {
    my ($self, $css, $command, $body) = @_;
    for my $try (1 .. 3) {
        my $value = eval {
            my $found = $self->_do(POST => element => { using => 'css selector', value => $css });
            [ $self->_do(POST => "element/$found->{$element}/$command", $body) ];
        };
        return $value->[0] if $value;
        die $@ if $try == 3 || $@ !~ /stale element|no such element/;
    }
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my $session = delete $self->{session};
    eval { $self->_ask(DELETE => "/session/$session") } if $session;
    # The browser writes into its profile until its last process is gone.
    my $until = time() + 5;
    kill TERM => -$pid;
    while (time() < $until && kill 0 => -$pid) {
        waitpid $pid, WNOHANG;
        sleep 0.02;
    }
    kill KILL => -$pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { local ($?, $@, $!); $_[0]->stop if $$ == $owner }

1;
