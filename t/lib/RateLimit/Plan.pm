# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Which limits the module finds in force for a request, as it says itself in
# the error log at LogLevel ratelimit_ext:debug (src/http/plan_text.h).
#
#   my $plan = RateLimit::Plan->new($httpd);
#   $plan->of('/a');                       # [ '2 per 1 minute [Location /a]' ]
#   $plan->of('/a', method => 'POST', host => 'x', port => 2, headers => {});
#   $plan->endpoint;                       # of that request
package RateLimit::Plan;
use strict;
use warnings;

sub new {
    my ($class, $httpd) = @_;
    open my $log, '<', $httpd->dir . '/error_log' or die "error_log: $!";
    return bless { httpd => $httpd, client => {}, log => $log }, $class;
}

# What the log has got since the last call.
sub _news {
    my ($self) = @_;
    seek $self->{log}, 0, 1;        # forget the end of file seen before
    local $/;
    return readline($self->{log}) // '';
}

# Limits in the order in which they are decided; those of the last decision
# if an internal redirect made several. Empty where nothing holds.
sub of {
    my ($self, $path, %arg) = @_;
    my $httpd = $self->{httpd};
    my $client = $self->{client}{ $arg{port} // 1 }
        //= $httpd->client($arg{port} // 1);
    $self->_news;
    my %headers = %{ $arg{headers} || {} };
    $headers{Host} = $arg{host} if defined $arg{host};
    $self->{response} = $client->request($arg{method} // 'GET', $path,
                                         \%headers);
    my @lines = $self->_news
        =~ /RLX0010: limits in force for (endpoint .*)$/mg;
    my ($endpoint, $limits) = ($lines[-1] // 'endpoint "-": none')
        =~ /^endpoint "(.*?)": (.*)$/;
    # httpd doubles backslashes and escapes quotes in its log.
    s/\\(["\\])/$1/g for $endpoint, $limits;
    $self->{endpoint} = $endpoint;
    $self->{decisions} = @lines;
    return $limits eq 'none' ? [] : [ split /; /, $limits ];
}

sub endpoint  { $_[0]{endpoint} }
sub response  { $_[0]{response} }
# How many times limits were looked at for the last request.
sub decisions { $_[0]{decisions} }

1;
