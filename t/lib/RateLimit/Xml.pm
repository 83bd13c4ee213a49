# Licensed under the Apache License, Version 2.0; see LICENSE.
#
#   is(xml_error($text), '', 'a strict parser takes it');
package RateLimit::Xml;
use strict;
use warnings;

use Exporter 'import';
use IPC::Open2 qw(open2);
our @EXPORT_OK = qw(xml_error);

# What a strict parser of XML says: '' if it is well-formed.
sub xml_error {
    my ($text) = @_;
    my $pid = open2(my $out, my $in, 'python3', '-c', <<'END');
import sys, xml.parsers.expat
try:
    xml.parsers.expat.ParserCreate().ParseFile(sys.stdin.buffer)
except Exception as e:
    print(e)
END
    print $in $text;
    close $in;
    my $error = do { local $/; readline $out };
    waitpid $pid, 0;
    return $error // '';
}

1;
