# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A private redis-server for the cases that count in one, what the module
sends to it, and how fast it is by itself."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

# The least that a fixed window needs: what a module that is made of nothing
# but a round trip would send.
BARE_SCRIPT = ("local n = redis.call('INCRBY', KEYS[1], 1) "
               "if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end "
               "return n")


def available():
    return shutil.which('redis-server') is not None


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Redis:
    """One server, over TCP and a Unix socket. `cpus` as for httpd."""

    def __init__(self, cpus=None):
        self.dir = tempfile.mkdtemp(prefix='rlx-bench-redis-')
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.path = f'{self.dir}/redis.sock'
        command = ['redis-server', '--bind', '127.0.0.1', '--port',
                   str(self.port), '--unixsocket', self.path,
                   '--unixsocketperm', '777', '--save', '', '--dir', self.dir]
        if cpus is not None:
            command = ['taskset', '-c', ','.join(map(str, cpus))] + command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.exists(self.path):
                break
            time.sleep(.05)
        self.bare_sha1 = self.cli('SCRIPT', 'LOAD', BARE_SCRIPT)
        # What the module sends for one limit: see learn().
        self.sent_for_one = None

    def cli(self, *words):
        return subprocess.run(['redis-cli', '-s', self.path, *words],
                              check=True, text=True,
                              capture_output=True).stdout.strip()

    def place(self, kind):
        """For mod_bare_evalsha."""
        return self.path if kind == 'unix' else f'127.0.0.1:{self.port}'

    def uri(self, kind):
        """For RateLimitStorage."""
        return f'redis+unix://{self.path}' if kind == 'unix' \
            else f'redis://127.0.0.1:{self.port}'

    def bare(self):
        """The command of the least script."""
        return ['EVALSHA', self.bare_sha1, '1', 'rlx-bench', '86400000']

    def learn(self, request):
        """Keep the EVALSHA that Redis gets while request() runs."""
        with open(f'{self.dir}/monitor', 'w+') as out:
            monitor = subprocess.Popen(['redis-cli', '-s', self.path,
                                        'MONITOR'], stdout=out)
            time.sleep(.3)
            request()
            time.sleep(.3)
            monitor.terminate()
            monitor.wait()
            out.seek(0)
            line = [l for l in out if '"EVALSHA"' in l][-1]
        self.sent_for_one = re.findall(r'"([^"]*)"', line)

    def ceiling(self, command, kind, clients=32):
        """Calls per second that redis-benchmark gets from it."""
        where = ['-s', self.path] if kind == 'unix' else ['-p', str(self.port)]
        output = subprocess.run(
            ['redis-benchmark', *where, '-c', str(clients), '-n', '100000',
             '--csv', *command], check=True, text=True,
            capture_output=True).stdout
        return float(output.splitlines()[-1].split('"')[3])

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
