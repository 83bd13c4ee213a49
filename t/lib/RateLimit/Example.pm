# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Configurations that several tests look at from different sides.
package RateLimit::Example;
use strict;
use warnings;

use Exporter 'import';
our @EXPORT_OK = qw($NESTED);

# The example of nested sections that Flask-Limiter's manual has, too.
our $NESTED = <<'END';
RateLimitDefault "100/hour"
RateLimitApplication "100/minute"
<Location "/parent">
    RateLimit "2/minute"
</Location>
<Location "/parent/child">
    RateLimit "1/second" override_defaults=off
</Location>
<Location "/parent/child/grandchild">
    RateLimit "10/minute"
</Location>
<Location "/parent/health">
    RateLimitExempt default application ancestors
</Location>
<Location "/parent/child/health">
    RateLimitExempt default application ancestors
</Location>
<Location "/parent/child/grandchild/health">
    RateLimitExempt default application ancestors
</Location>
END

1;
