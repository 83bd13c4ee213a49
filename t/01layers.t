# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# No layer calls upwards. The check speaks TAP itself.
use strict;
use warnings;
use FindBin ();
exec "$FindBin::Bin/../build-aux/check-layers.sh"
    or die "build-aux/check-layers.sh: $!";
