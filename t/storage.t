# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitStorage and what only the whole configuration can tell: which
# storage a server has, what it cannot keep, and that kinds of limits never
# share a counter.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Client ();
use RateLimit::Httpd  ();

sub accepted {
    my ($what, $conf) = @_;
    my ($code, $output) = RateLimit::Httpd->config_test($conf);
    is($code, 0, $what) or diag($output);
}

sub refused {
    my ($what, $conf, $sentence) = @_;
    my ($code, $output) = RateLimit::Httpd->config_test($conf);
    isnt($code, 0, "$what: does not start");
    like($output, $sentence, "$what: says why");
}

my $host = "<VirtualHost *:8081>\nServerName a\n";

accepted('a table of its own by name', <<"END");
RateLimitStorage shm:// size=2M
$host RateLimitStorage shm://a size=1M
</VirtualHost>
END
accepted('the same table twice', <<"END");
RateLimitStorage shm:// size=2M
$host RateLimitStorage shm:// size=2M
</VirtualHost>
END
accepted('where none is set, the default with the options it has elsewhere',
    "$host RateLimitStorage shm:// size=2M\n</VirtualHost>\n");
refused('one table, two sizes', <<"END", qr/RateLimitStorage on line \d+ .*"shm:\/\/" stands elsewhere with other options.*shm:\/\/name/);
RateLimitStorage shm:// size=2M
$host RateLimitStorage shm:// size=1M
</VirtualHost>
END
refused('a moving window longer than the log',
    qq(RateLimitDefault "20000 per day" strategy=moving-window\n),
    qr/RateLimitDefault on line \d+ .*"20000 per 1 day".*log_max=/);
refused('the same by RateLimitStrategy', <<'END', qr/RateLimit on line \d+ .*log_max=/);
RateLimitStrategy moving-window
<Location /x>
    RateLimit "20000 per day"
</Location>
END
accepted('with a log that is long enough', <<'END');
RateLimitStorage shm:// log_max=20000
RateLimitDefault "20000 per day" strategy=moving-window
END

# Limits of different kinds with the same text have counters of their own.
my $h = RateLimit::Httpd->start(conf => <<'END');
RateLimitApplication "3 per hour" methods=POST
RateLimitDefault "3 per hour"
<Location "/own">
    RateLimit "100 per hour"
</Location>
<Location "/shared">
    RateLimitShared "2 per hour" scope=x
</Location>
<Location "/scoped">
    RateLimitEndpoint scoped
    RateLimit "2 per hour" scope=x
</Location>
END
$h->write($_, "x\n") for qw(index.html own shared scoped);
my $client = $h->client;
is($client->get('/index.html')->code, 200, 'default') for 1 .. 3;
is($client->get('/index.html')->code, 429, 'the default is used up');
is($client->post('/own', '')->code, 200, 'the umbrella is not');
is($client->get('/shared')->code, 200, 'shared scope') for 1, 2;
is($client->get('/shared')->code, 429, 'the shared scope is used up');
is($client->get('/scoped')->code, 200, 'a part of a counter of the same name is not');

done_testing;
