# Licensed under the Apache License, Version 2.0; see LICENSE.
"""limiter-status on a large configuration: how long its answers take, and what
they take from requests that are limited beside them."""

import statistics
import threading
import time
import urllib.request

from cases import MANY, REMOTEIP, Case
from server import Server

HOSTS = 10
SECTIONS = 1000
KEYS = 10_000
# A page every so many seconds while requests are measured.
EVERY_SEC = 1

ASKED = ['format=text', 'format=json', 'format=html', 'format=prometheus',
         'format=json&path=/area7/3/x', 'format=html&path=/area7/3/x',
         'format=json&key=11.0.0.5', 'format=html&key=11.0.0.5']


def _sections(host):
    """A tenth of the sections: areas of ten, nested in the first of them."""
    lines = []
    for area in range(SECTIONS // HOSTS // 10):
        path = f'/area{area}'
        for nth in range(10):
            inner = f'{path}/{nth}' if nth else path
            lines.append(f'<Location "{inner}">\n'
                         f'    RateLimit "{1000 + nth} per hour" name=h{host}'
                         f'a{area}n{nth} override_defaults=off\n</Location>')
    return '\n'.join(lines)


def large_case():
    """A thousand sections in ten virtual hosts."""
    hosts = '\n'.join(f'<VirtualHost *>\nServerName host{host}.example\n'
                      f'{_sections(host)}\n</VirtualHost>'
                      for host in range(1, HOSTS))
    return Case('page', 'a large configuration', addresses=(0, KEYS), conf=f'''
{REMOTEIP}RateLimitDefault "{MANY} per day; {MANY} per hour"
RateLimitApplication "{MANY} per minute"
{_sections(0)}
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt
</Location>
<VirtualHost *>
ServerName localhost
{_sections(0)}
</VirtualHost>
{hosts}
''')


def ask(server, query):
    """Milliseconds, and bytes, of one answer."""
    begun = time.monotonic()
    with urllib.request.urlopen(f'http://127.0.0.1:{server.port}'
                                f'/limiter-status?{query}') as answer:
        size = len(answer.read())
    return (time.monotonic() - begun) * 1000, size


def answers(server, times=15):
    """Rows of a table: each query, its median and longest ms, its bytes."""
    rows = []
    for query in ASKED:
        got = [ask(server, query) for _ in range(times)]
        usual = [ms for ms, _ in got]
        rows.append((f'`{query}`', f'{usual[0]:.0f}',
                     f'{statistics.median(usual):.1f}', f'{max(usual):.1f}',
                     f'{got[-1][1]:,}'))
    return rows


class Onlooker(threading.Thread):
    """Asks for a page again and again, as a browser left open does."""

    def __init__(self, server, query):
        super().__init__(daemon=True)
        self.server, self.query = server, query
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(EVERY_SEC):
            ask(self.server, self.query)

    def stop(self):
        self.over.set()
        self.join()


def beside(server, query, rounds, seconds, cpus):
    """Requests per second with somebody who looks, over those without: one
    ratio per round, in changing order."""
    ratios = []
    for nth in range(rounds):
        rates = {}
        for looks in ((0, 1) if nth % 2 else (1, 0)):
            onlooker = Onlooker(server, query)
            if looks:
                onlooker.start()
            rates[looks], _ = server.load(seconds, cpus)
            if looks:
                onlooker.stop()
        ratios.append(rates[1] / rates[0])
    return ratios


def report_page(report, rounds):
    report.line('### limiter-status on a large configuration')
    report.line()
    report.line(f'{SECTIONS:,} sections in {HOSTS} virtual hosts, '
                f'{KEYS:,} keys.')
    report.line()
    server = Server(large_case(), cpus=[0])
    try:
        server.load(2, [1])
        report.table(['asked', 'first, ms', 'median, ms', 'longest, ms',
                      'bytes'], answers(server))
        rows = []
        for query in ('format=json', 'format=html'):
            got = sorted(beside(server, query, rounds, 4, [1]))
            rows.append((f'`{query}` every {EVERY_SEC} s',
                         f'{statistics.median(got):.3f}',
                         f'{got[0]:.3f} to {got[-1]:.3f}'))
        report.table(['beside', 'throughput of limited requests', 'all rounds'],
                     rows)
    finally:
        server.stop()
