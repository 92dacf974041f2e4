# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The site that quayside makes of an app beside a minimal nginx by hand, on one host, before the same server.

While it lasts, a server that only answers has the app's port, or the app would be all that is measured.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from statistics import fmean

from bench.load import Site, percentile
from bench.under_load import read_h2load

PORT = 8443
FOLDER = "/run/quayside-bench"
#: By name of the protocol: h2load's options, and its connections. nginx ends one after 1000 requests.
PROTOCOLS = {"h1": ("--h1", 32), "h2": ("-m 8", 16)}
REQUESTS_OF_ONE = 900
#: How often each is asked in a round, in turn: a machine that others use is never as fast for two seconds.
TURNS = 6
ANSWER = '{"entries": "' + "0123456789" * 100 + '"}'
SERVER = """
pid {folder}/server.pid;
error_log /var/log/nginx/error.log;
events {{}}
http {{
    access_log off;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{app};
        location / {{
            default_type application/json;
            return 200 '{answer}';
        }}
    }}
}}
"""
BY_HAND = """
user www-data;
worker_processes auto;
pid {folder}/by-hand.pid;
error_log /var/log/nginx/error.log;
events {{}}
http {{
    access_log /var/log/nginx/by-hand.log;
    upstream app {{
        server 127.0.0.1:{app};
        keepalive 32;
    }}
    server {{
        listen {port} ssl http2;
        server_name {name};
        ssl_certificate /etc/letsencrypt/live/{certificate}/fullchain.pem;
        ssl_certificate_key /etc/letsencrypt/live/{certificate}/privkey.pem;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
#: The proportional set size, in kB, of a process and its children: memory that several share is divided among them.
PSS = "for pid in $(cat {pid}) $(pgrep -P $(cat {pid})); do grep ^Pss: /proc/$pid/smaps_rollup; done"


class EdgeBenchError(Exception):
    """Something does not work; the text says what."""


def _inside(container: str, command: str, text: str = "") -> str:
    argv = ["docker", "exec", "-i", container, "sh", "-ec", command]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeBenchError(f"{command}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


@contextlib.contextmanager
def _both(host: str, site: Site, app: str) -> Iterator[None]:
    """The server that only answers and the minimal nginx, in place of the app."""
    found = f"docker ps -q --filter label=quayside.app={app} --filter label=quayside.process=web"
    container = _inside(host, found).strip()
    port = _inside(host, f"docker port {container}").strip().rpartition(":")[2]
    values = {"folder": FOLDER, "app": port, "port": PORT, "answer": ANSWER, "name": site.name, "certificate": app}
    rule = f"INPUT -p tcp --dport {PORT} -j ACCEPT"
    configs = {"server": SERVER, "by-hand": BY_HAND}
    try:
        _inside(host, f"mkdir -p {FOLDER}; docker stop -t 5 {container}; iptables -I {rule}")
        for name, config in configs.items():
            path = f"{FOLDER}/{name}.conf"
            _inside(host, f"cat > {path}; nginx -c {path}", config.format(**values))
        yield
    finally:
        for name in configs:
            _inside(host, f"kill $(cat {FOLDER}/{name}.pid) || true")
        _inside(host, f"iptables -D {rule}; docker start {container}")


def read_summary(text: str) -> tuple[float, int]:
    """Return the requests per second, and how many were answered with 2xx, of what h2load prints."""
    rate = re.search(r"^finished in \S+, ([\d.]+) req/s", text, re.MULTILINE)
    good = re.search(r"^status codes: (\d+) 2xx", text, re.MULTILINE)
    return float(rate[1]) if rate else 0.0, int(good[1]) if good else 0


def _ask(site: Site, port: int, protocol: str) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of their milliseconds."""
    options, connections = PROTOCOLS[protocol]
    count, log = connections * REQUESTS_OF_ONE, "/tmp/h2load-edge.log"  # noqa: S108 in a container of ours
    target = f"--connect-to={site.address}:{port} https://{site.name}/entries"
    said = _inside(site.client, f"rm -f {log}; h2load {options} -c {connections} -n {count} --log-file={log} {target}")
    rate, good = read_summary(said)
    if good != count:
        raise EdgeBenchError(f"port {port}, {protocol}: {good} of {count} requests were answered:\n{said[-2000:]}")
    times = [request.seconds * 1000 for request in read_h2load(_inside(site.client, f"cat {log}"))]
    return rate, percentile(times, 0.99)


def _memory(host: str, pid: str) -> float:
    """Megabytes (a million bytes) of an nginx."""
    return sum(int(line.split()[1]) for line in _inside(host, PSS.format(pid=pid)).splitlines()) * 1024 / 1e6


def measure(host: str, site: Site, app: str, rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Both in turn, first and second; a sample is the mean of a round's turns.

    Args:
        host: the container of the web host.
        site: the app as its users reach it.
        app: the app's name, and that of its certificate.
        rounds: how often.
        say: told each sample.

    Raises:
        EdgeBenchError: a request failed, or something does not work.
    """
    samples: dict[str, list[float]] = {}
    ports = {"site": 443, "hand": PORT}
    with _both(host, site, app):
        for number in range(rounds):
            for protocol in PROTOCOLS:
                turns: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
                for turn in range(TURNS):
                    for name in sorted(ports, reverse=(number + turn) % 2 == 0):
                        turns[name].append(_ask(site, ports[name], protocol))
                for name, asked in turns.items():
                    rate, p99 = (fmean(values) for values in zip(*asked, strict=True))
                    samples.setdefault(f"{name}_{protocol}", []).append(rate)
                    samples.setdefault(f"{name}_{protocol}_p99", []).append(p99)
                    say(f"  {name} {protocol} {rate:8.0f} requests/s, p99 {p99:.1f} ms")
            ours, by_hand = _memory(host, "/run/nginx.pid"), _memory(host, f"{FOLDER}/by-hand.pid")
            samples.setdefault("memory_added", []).append(ours - by_hand)
    return samples
