# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What is measured: one httpd configuration and one kind of load each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    # The case that it is compared with; None: it is only compared with.
    base: str = None
    # Is the module loaded?
    module: bool = True
    conf: str = ''
    # What stands in the .htaccess of the served directory; None: files of
    # that name are not looked for.
    htaccess: str = None
    # Arguments of addresses.lua ("first count"), or None for load.lua. Each
    # run goes on where the last one stopped if `fresh` is set.
    addresses: tuple = None
    fresh: bool = False
    # Requests that are sent once, before anything is measured.
    prefill: int = 0
    # (throughput ratio at least, CPU us added at most, instructions added at
    # most); None where there is no goal.
    goal: tuple = (None, None, None)
    # Counted in Redis: over 'tcp' or 'unix'. `bare`: by a module that only
    # sends it one command (mod_bare_evalsha.c), either the 'least' script or
    # the 'same' that the module sends for the case one-<redis>.
    redis: str = None
    bare: str = None
    # Is it run under load, and under callgrind?
    load: bool = True
    callgrind: bool = True
    # Status that every answer must have.
    status: int = 200


REMOTEIP = '''RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
'''
# More than any run can use up.
MANY = '2000000000'
ONE = f'RateLimitDefault "{MANY} per day"\n'


THREE = (ONE + f'RateLimitApplication "{MANY} per minute; {MANY} per hour"\n')


def _in_redis(kind):
    """Cases of counting in Redis, over TCP or a Unix socket."""
    bare = f'{kind}-bare'
    return [
        Case(bare, f'one bare EVALSHA, {kind}', base='none', module=False,
             redis=kind, bare='least'),
        Case(f'{kind}-same', f'the same EVALSHA as one limit, bare, {kind}',
             base=bare, module=False, redis=kind, bare='same'),
        Case(f'{kind}-one', f'one limit in Redis, {kind}', base=bare, conf=ONE,
             redis=kind, goal=(.95, None, None)),
        Case(f'{kind}-three', f'three limits in Redis, {kind}', base=bare,
             conf=THREE, redis=kind, goal=(.95, None, None)),
        Case(f'{kind}-gcra', f'one limit in Redis, gcra, {kind}', base=bare,
             conf='RateLimitDefault "1000000 per second" strategy=gcra\n',
             redis=kind, goal=(.95, None, None)),
    ]


def _in_location(directives):
    return f'<Location "/">\n{directives}\n</Location>\n'


CASES = [
    Case('none', 'without the module', module=False),
    Case('again', 'without the module, once more (the noise)', base='none',
         module=False),
    Case('loaded', 'loaded, nothing configured', base='none',
         goal=(1, None, 200)),
    Case('off', 'one limit, RateLimitEngine Off', base='none',
         conf=ONE + 'RateLimitEngine Off\n', goal=(1, None, 200)),
    Case('one', 'one limit (RateLimitDefault)', base='none', conf=ONE,
         goal=(.99, .25, 800)),
    Case('two', 'two limits', base='none',
         conf=f'RateLimitDefault "{MANY} per hour; {MANY} per day"\n',
         goal=(.985, .35, 1200)),
    Case('three', 'three limits of three kinds, RateLimitHeaders On',
         base='location',
         conf=ONE + f'RateLimitApplication "{MANY} per minute"\n'
              'RateLimitHeaders On\n'
         + _in_location(f'RateLimit "{MANY} per hour" override_defaults=off'),
         goal=(.97, .8, 3000)),
    Case('ietf', 'the same, RateLimitHeaders ietf', base='location',
         load=False,
         conf=ONE + f'RateLimitApplication "{MANY} per minute"\n'
              'RateLimitHeaders ietf\n'
         + _in_location(f'RateLimit "{MANY} per hour" override_defaults=off')),
    Case('refused', 'everything refused (429 with its body)', base='none',
         conf='RateLimitDefault "1 per day"\n', goal=(1.85, None, None),
         status=429),
    # What a <Location> costs is httpd's own.
    Case('location', 'without the module, in a <Location>', module=False,
         conf=_in_location('LimitRequestBody 1000000')),
    Case('section', 'one limit in a <Location>', base='location',
         conf=_in_location(f'RateLimit "{MANY} per day"'),
         goal=(.99, .25, 800), load=False),
    Case('five', 'five limits', base='none', load=False,
         conf='RateLimitDefault "' + '; '.join(
             f'{MANY} per {n} hours' for n in range(1, 6)) + '"\n',
         goal=(None, None, 2100)),
    Case('sliding', 'one limit, sliding-window-counter', base='none',
         conf=ONE + 'RateLimitStrategy sliding-window-counter\n', load=False),
    Case('gcra', 'one limit, gcra', base='none',
         conf='RateLimitDefault "1000000 per second" strategy=gcra\n',
         load=False),
    Case('moving', 'one limit, moving-window', base='none',
         conf='RateLimitDefault "10000 per day" strategy=moving-window\n',
         load=False),
    # What reading any .htaccess costs is httpd's own.
    Case('htaccess-none', 'without the module, a .htaccess', module=False,
         base='none', htaccess='LimitRequestBody 1000000\n', load=False),
    Case('htaccess-other', 'a .htaccess without a directive of the module',
         base='htaccess-none', htaccess='LimitRequestBody 1000000\n',
         load=False),
    # To be compared with 'one' and what httpd pays for the file, see README.md.
    Case('htaccess', 'a .htaccess with one limit', base='htaccess-none',
         htaccess=f'RateLimit "{MANY} per day"\n', load=False),
    # Many clients.
    Case('many-none', '100,000 addresses, without the module', module=False,
         conf=REMOTEIP, addresses=(0, 100000)),
    Case('many', '100,000 addresses, one limit', base='many-none',
         conf=REMOTEIP + ONE, addresses=(0, 100000), goal=(.99, .25, 800)),
    Case('repeating', 'full table, repeating keys',
         conf=REMOTEIP + ONE + 'RateLimitStorage shm:// size=4M\n',
         addresses=(0, 1000), prefill=150000, callgrind=False),
    Case('flood', 'full table, each request a new key', base='repeating',
         conf=REMOTEIP + ONE + 'RateLimitStorage shm:// size=4M\n',
         addresses=(0, 200000000), fresh=True, prefill=150000,
         goal=(.95, None, None), callgrind=False),
] + _in_redis('unix') + _in_redis('tcp') + [
    Case('denied', 'everything refused, known to the deny cache',
         base='refused', conf='RateLimitDefault "1 per day"\n', redis='unix',
         goal=(.99, .25, 300), status=429),
    Case('denied-off', 'everything refused, deny_cache=off', base='refused',
         conf='RateLimitDefault "1 per day"\n', redis='unix off', status=429),
]

BY_NAME = {case.name: case for case in CASES}
