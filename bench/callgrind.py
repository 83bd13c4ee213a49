# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Instructions per request, counted by callgrind: the same on every run."""

import glob
import os
import re
import shutil
import socket
import tempfile
from collections import defaultdict

from server import Server, module_path

WARM_UP = 300
SMALL, LARGE = 100, 1100
# A function that httpd runs for a chunked request, and not for others:
# callgrind writes its counts and begins anew there.
MARK = 'ap_is_chunked'
# Of a case with many addresses: each has been seen in the warm-up.
ADDRESSES = 200


def _ask(s, case, n):
    """Send n requests over a kept connection, one after the other, and one
    that makes callgrind write its counts."""
    for i in range(n):
        extra = b''
        if case.addresses:
            extra = b'X-Forwarded-For: 11.0.0.%d\r\n' % (i % ADDRESSES)
        s.sendall(b'GET /file.txt HTTP/1.1\r\nHost: localhost\r\n'
                  + extra + b'\r\n')
        status = _read_answer(s)
    if status != case.status:
        raise RuntimeError(f'{case.name}: status {status}')
    s.sendall(b'GET /file.txt HTTP/1.1\r\nHost: localhost\r\n'
              b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
    _read_answer(s)


def _receive(s):
    data = s.recv(65536)
    if not data:
        raise RuntimeError('the connection was closed')
    return data


def _read_answer(s):
    answer = b''
    while b'\r\n\r\n' not in answer:
        answer += _receive(s)
    head, _, body = answer.partition(b'\r\n\r\n')
    length = int(re.search(rb'content-length: (\d+)', head, re.I).group(1))
    while len(body) < length:
        body += _receive(s)
    return int(head.split()[1])


class Profile:
    """Costs in instructions per request: the difference of a long run and a
    short one, so that what is not of the requests cancels out."""

    def __init__(self, large, small):
        # {(object, function): own cost}
        self.own = defaultdict(float)
        # {(caller, callee): [calls, cost with all that is below]}
        self.calls = defaultdict(lambda: [0, 0])
        self._read(large, 1 / (LARGE - SMALL))
        self._read(small, -1 / (LARGE - SMALL))
        self.total = sum(self.own.values())

    def _read(self, path, factor):
        names = {'ob': {}, 'fn': {}}
        ob = fn = cob = cfn = None

        def name(kind, text):
            number, _, full = text.partition(' ')
            if full:
                names[kind][number] = full
            return names[kind].get(number, text)

        n_calls = None
        with open(path) as file:
            for line in file:
                line = line.rstrip('\n')
                if line and line[0] in '0123456789+-*':
                    cost = int(line.split()[1])
                    if n_calls is None:
                        self.own[ob, fn] += cost * factor
                    else:
                        edge = self.calls[(ob, fn), (cob or ob, cfn)]
                        edge[0] += n_calls * factor
                        edge[1] += cost * factor
                        n_calls = cob = None
                    continue
                key, _, text = line.partition('=')
                if key == 'ob':
                    ob = os.path.basename(name('ob', text))
                elif key == 'fn':
                    fn = name('fn', text)
                elif key == 'cob':
                    cob = os.path.basename(name('ob', text))
                elif key == 'cfn':
                    cfn = name('fn', text)
                elif key == 'calls':
                    n_calls = int(text.split()[0])

    def ours(self):
        """What the module costs: its functions' own costs, and what they
        call outside of it, but for what a filter passes on: that is the
        response's way through httpd. Two lists of (cost, calls, text)."""
        us = os.path.basename(module_path())
        own = [(cost, sum(e[0] for (_, callee), e in self.calls.items()
                          if callee == (us, fn)), fn)
               for (ob, fn), cost in self.own.items() if ob == us]
        outside = [(edge[1], edge[0], f'{callee[1]}, called by {caller[1]}')
                   for (caller, callee), edge in self.calls.items()
                   if caller[0] == us and callee[0] != us
                   and not callee[1].startswith('ap_pass_brigade')]
        return sorted(own, reverse=True), sorted(outside, reverse=True)


def measure(case, redis=None):
    """Run one case under callgrind, in one process."""
    out = tempfile.mkdtemp(prefix='rlx-callgrind-')
    # The server writes as the user that it has become.
    os.chmod(out, 0o777)
    # prefork: one thread, so that no two of them get in each other's way and
    # the counts repeat to the instruction.
    server = Server(case, mpm='prefork', redis=redis,
                    wrapper=['valgrind', '--tool=callgrind',
                             f'--dump-before={MARK}',
                             f'--callgrind-out-file={out}/out'])
    try:
        with socket.create_connection(('127.0.0.1', server.port), 60) as s:
            for n in WARM_UP, SMALL, LARGE:
                _ask(s, case, n)
            # Each mark may have written more than once.
            dumps = len(glob.glob(f'{out}/out.*'))
            if dumps == 0 or dumps % 3:
                raise RuntimeError(f'{dumps} dumps: {MARK} is not what it was')
            each = dumps // 3
        return Profile(f'{out}/out.{2 * each + 1}', f'{out}/out.{each + 1}')
    finally:
        server.stop()
        shutil.rmtree(out, ignore_errors=True)
