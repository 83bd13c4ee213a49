# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A private httpd for one case: started, loaded by wrk, looked at, stopped."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from redis import free_port

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a small server has. A module that is missing or built in is left out.
MODULES = ['unixd', 'authn_core', 'authz_core', 'authz_host',
           'mime', 'dir', 'alias', 'env', 'setenvif']
FILE_BYTES = 100


def module_path():
    return os.environ.get('RLX_MODULE') or f'{TOP}/.libs/mod_ratelimit_ext.so'


def apxs_path():
    return os.environ.get('APXS') or shutil.which('apxs') \
        or shutil.which('apxs2') or '/usr/bin/apxs'


def apxs_query(name, known={}):
    if name not in known:
        known[name] = subprocess.run([apxs_path(), '-q', name], check=True,
                                     text=True,
                                     capture_output=True).stdout.strip()
    return known[name]


def httpd_path():
    return os.environ.get('RLX_HTTPD') or '/'.join(
        apxs_query(name) for name in ('SBINDIR', 'TARGET'))


def bare_module_path():
    """mod_bare_evalsha, built when it is first asked for."""
    source = f'{TOP}/bench/mod_bare_evalsha.c'
    made = f'{TOP}/build/bench/.libs/mod_bare_evalsha.so'
    if not os.path.exists(made) \
            or os.path.getmtime(made) < os.path.getmtime(source):
        os.makedirs(f'{TOP}/build/bench', exist_ok=True)
        shutil.copy(source, f'{TOP}/build/bench')
        subprocess.run([apxs_path(), '-c', '-Wc,-O2', '-lhiredis',
                        'mod_bare_evalsha.c'], cwd=f'{TOP}/build/bench',
                       check=True, capture_output=True)
    return made


class Server:
    """One httpd. `cpus`: the cores it is bound to, or None. `wrapper`: a
    command to run it under, in one process, with one connection. `redis`: a
    Redis for the cases that count in one."""

    def __init__(self, case, cpus=None, wrapper=None, mpm='event', redis=None):
        self.case = case
        self.mpm = mpm
        self.redis = redis
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix='rlx-bench-')
        os.chmod(self.dir, 0o777 if wrapper else 0o755)
        os.mkdir(f'{self.dir}/htdocs', 0o755)
        with open(f'{self.dir}/htdocs/file.txt', 'w') as file:
            file.write('x' * (FILE_BYTES - 1) + '\n')
        if case.htaccess is not None:
            with open(f'{self.dir}/htdocs/.htaccess', 'w') as file:
                file.write(case.htaccess)
        self._write_conf()
        self.next_address = case.addresses[0] if case.addresses else 0
        command = [httpd_path(), '-X' if wrapper else '-DFOREGROUND',
                   '-d', self.dir, '-f', f'{self.dir}/httpd.conf']
        if cpus is not None:
            command = ['taskset', '-c', ','.join(map(str, cpus))] + command
        with open(f'{self.dir}/output', 'w') as out:
            # httpd signals its whole process group when it stops.
            self.process = subprocess.Popen(
                (wrapper or []) + command, stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True)
        self._wait_until_up()

    def _write_conf(self):
        libexec = apxs_query('LIBEXECDIR')
        modules = [f'mpm_{self.mpm}'] + MODULES
        if 'RemoteIP' in self.case.conf:
            modules.append('remoteip')
        load = ''.join(f'LoadModule {m}_module {libexec}/mod_{m}.so\n'
                       for m in modules
                       if os.path.exists(f'{libexec}/mod_{m}.so'))
        if self.case.module:
            load += f'LoadModule ratelimit_ext_module {module_path()}\n'
        load += self._redis_conf()
        override = 'None' if self.case.htaccess is None else 'Limit'
        user = 'User nobody\nGroup nogroup\n' if os.getuid() == 0 else ''
        with open(f'{self.dir}/httpd.conf', 'w') as file:
            file.write(f'''{load}{user}
ServerRoot {self.dir}
ServerName localhost
DefaultRuntimeDir {self.dir}
PidFile {self.dir}/pid
ErrorLog {self.dir}/error_log
LogLevel warn
Listen 127.0.0.1:{self.port}
DocumentRoot {self.dir}/htdocs
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
TypesConfig /dev/null
AddType text/plain .txt
<IfModule mpm_event_module>
    StartServers 2
    ServerLimit 2
    # More than there are connections: a child without an idle thread
    # closes kept connections.
    ThreadsPerChild 64
    MinSpareThreads 1
    MaxSpareThreads 250
    MaxRequestWorkers 128
</IfModule>
<Directory "{self.dir}/htdocs">
    Options FollowSymLinks
    AllowOverride {override}
    Require all granted
</Directory>
{self.case.conf}
''')

    def _redis_conf(self):
        """What makes the case count in Redis."""
        if not self.case.redis:
            return ''
        kind, *off = self.case.redis.split()
        if not self.case.bare:
            return (f'RateLimitStorage {self.redis.uri(kind)} timeout=5000 '
                    f'pool_max=64{" deny_cache=off" if off else ""}\n')
        command = self.redis.bare() if self.case.bare == 'least' \
            else self.redis.sent_for_one
        return (f'LoadModule bare_evalsha_module {bare_module_path()}\n'
                f'BareRedis {self.redis.place(kind)}\n'
                f'BareCommand {" ".join(command)}\n')

    def get(self):
        """One request."""
        urllib.request.urlopen(f'http://127.0.0.1:{self.port}/file.txt').read()

    def _wait_until_up(self):
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(('127.0.0.1', self.port), 1):
                    time.sleep(.2)
                    return
            except OSError:
                time.sleep(.05)
        words = ''.join(open(f'{self.dir}/{name}').read()
                        for name in ('output', 'error_log')
                        if os.path.exists(f'{self.dir}/{name}'))
        self.stop()
        raise RuntimeError(f'{self.case.name}: httpd does not start:\n{words}')

    def pids(self):
        """The parent and its children."""
        parent = self.process.pid
        found = [parent]
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/stat') as stat:
                    if int(stat.read().rpartition(')')[2].split()[1]) == parent:
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def cpu_usec(self):
        """CPU time of all processes so far: to the nanosecond from schedstat
        where there is one, else in clock ticks."""
        total = 0
        for pid in self.pids():
            try:
                for task in os.listdir(f'/proc/{pid}/task'):
                    with open(f'/proc/{pid}/task/{task}/schedstat') as stat:
                        total += int(stat.read().split()[0]) / 1000
            except OSError:
                try:
                    with open(f'/proc/{pid}/stat') as stat:
                        f = stat.read().rpartition(')')[2].split()
                    total += (int(f[11]) + int(f[12])) * 1e6 \
                        / os.sysconf('SC_CLK_TCK')
                except OSError:
                    pass
        return total

    def load(self, seconds, cpus=None, threads=1, connections=32):
        """Run wrk against it: requests per second, CPU us per request."""
        script, args = 'load.lua', []
        if self.case.addresses:
            script = 'addresses.lua'
            args = ['--', str(self.next_address), str(self.case.addresses[1])]
        command = ['wrk', f'-t{threads}', f'-c{connections}', f'-d{seconds}s',
                   '-s', f'{TOP}/bench/{script}',
                   f'http://127.0.0.1:{self.port}/file.txt'] + args
        if cpus is not None:
            command = ['taskset', '-c', ','.join(map(str, cpus))] + command
        before = self.cpu_usec()
        output = subprocess.run(command, check=True, text=True,
                                capture_output=True).stdout
        cpu = self.cpu_usec() - before
        line = [l for l in output.splitlines() if l.startswith('RESULT')][0]
        n, usec, not_ok, broken = map(int, line.split()[1:])
        if self.case.fresh:
            # wrk's threads began an eighth of the range from one another.
            self.next_address += n
        if broken or (not_ok > 1) != (self.case.status >= 400):
            raise RuntimeError(f'{self.case.name}: {broken} broken, {not_ok} '
                               f'of {n} refused or failed')
        return n / usec * 1e6, cpu / n

    def prefill(self):
        """Fill the table: far-away addresses, then no more."""
        if not self.case.prefill:
            return
        with socket.create_connection(('127.0.0.1', self.port)) as s:
            for start in range(0, self.case.prefill, 100):
                s.sendall(b''.join(
                    b'GET /file.txt HTTP/1.1\r\nHost: localhost\r\n'
                    b'X-Forwarded-For: 200.%d.%d.%d\r\n\r\n'
                    % (n >> 16, n >> 8 & 255, n & 255)
                    for n in range(start, start + 100)))
                answers = b''
                while answers.count(b'HTTP/1.1 ') < 100 \
                        or not answers.endswith(b'x\n'):
                    answers += s.recv(65536)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
