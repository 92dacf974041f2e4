# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""How a machine on the internet sees the hosts: curl, raw bytes over TLS, and the certificates it gets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

HOSTS = ("debian12", "debian13")
NAMES = ("shop", "www.shop", "more.shop", "limited", "staff", "behind", "lan", "stranger")


@dataclass(frozen=True)
class Answer:
    code: int
    status: int
    headers: dict[str, str]
    body: str

    @property
    def asked(self) -> dict[str, Any]:
        """What the app's stand-in says it was asked."""
        return dict(json.loads(self.body))

    @property
    def cors(self) -> dict[str, str]:
        prefix = "access-control-"
        return {name[len(prefix) :]: value for name, value in self.headers.items() if name.startswith(prefix)}


Curl = Callable[..., Answer]
Raw = Callable[..., str]


@pytest.fixture(scope="module")
def name(host: Any) -> str:
    return str(host.backend.get_hostname())


@pytest.fixture(scope="module")
def machine(name: str, container: Callable[[str], Any]) -> Any:
    """The host through docker, which takes a tenth of the time that a command through Ansible does."""
    return container(name)


@pytest.fixture(scope="module")
def curl(name: str, outside: Any, address_of: Callable[[str], str]) -> Curl:
    """curl on another machine: `curl("shop", "/path", "-H", …)`. Nobody out there knows Pebble's root, so -k."""
    address = address_of(name)
    resolve = " ".join(f"--resolve {domain}.{name}.test:{port}:{address}" for domain in NAMES for port in (80, 443))

    def ask(site: str, path: str = "/", *args: str, scheme: str = "https") -> Answer:
        words = " ".join(shlex.quote(arg) for arg in (f"{scheme}://{site}.{name}.test{path}", *args))
        result = outside.run(f"curl -k -sS -i --path-as-is --compressed --max-time 10 {resolve} {words}")
        head, _separator, body = result.stdout.replace("\r", "").partition("\n\n")
        status, *lines = head.split("\n")
        headers: dict[str, str] = {}
        for line in lines:
            key, _colon, value = line.partition(": ")
            headers[key.lower()] = f"{headers[key.lower()]}, {value}" if key.lower() in headers else value
        return Answer(result.rc, int(status.split()[1]) if " " in status else 0, headers, body)

    return ask


_RAW = """
import socket, ssl, sys, time
address, name, wait = sys.argv[1], sys.argv[2], float(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
stream = context.wrap_socket(socket.create_connection((address, 443), timeout=10), server_hostname=name)
for part in sys.argv[4:]:
    stream.sendall(part.encode().decode("unicode_escape").encode("latin-1"))
    time.sleep(wait)
stream.settimeout(3)
try:
    while data := stream.recv(65536):
        sys.stdout.write(data.decode("latin-1"))
except (TimeoutError, ConnectionError):
    pass
"""


@pytest.fixture(scope="module")
def raw(name: str, outside: Any, address_of: Callable[[str], str]) -> Raw:
    """Bytes as they are, over TLS, in parts: `raw("shop", "GET / HTTP/1.1\\\\r\\\\n…")`; all that came back."""
    address = address_of(name)

    def send(site: str, *parts: str, wait: float = 0.2) -> str:
        words = " ".join(shlex.quote(part) for part in parts)
        command = f"python3 -c {shlex.quote(_RAW)} {address} {site}.{name}.test {wait} {words}"
        return str(outside.run(command).stdout).replace("\r", "")

    return send
