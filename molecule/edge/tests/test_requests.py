# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a request may do to a host, and what it may not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

testinfra_hosts = ["ansible://web"]

Curl = Callable[..., Any]
Raw = Callable[..., str]
CONVERGE = yaml.safe_load((Path(__file__).parents[1] / "converge.yml").read_text())
FLAG = "/var/lib/quayside/apps/shop/maintenance"
#: Of a listed network: allow_from of the maintenance page in converge.yml.
INSIDER = "172.30.13.21"


def test_http_leads_to_https_and_aliases_to_the_first_domain(curl: Curl, name: str) -> None:
    plain = curl("www.shop", "/a?b=c", scheme="http")
    assert (plain.status, plain.headers["location"]) == (308, f"https://www.shop.{name}.test/a?b=c")
    alias = curl("www.shop", "/a?b=c")
    assert (alias.status, alias.headers["location"]) == (308, f"https://shop.{name}.test/a?b=c")


def test_strangers_get_nothing(curl: Curl, raw: Raw, name: str) -> None:
    assert curl("stranger", scheme="http").code in (52, 56)
    assert curl("stranger").code == 35
    assert curl("shop", "/", "-H", f"Host: stranger.{name}.test").status == 421


def test_security_headers(curl: Curl) -> None:
    headers = curl("shop").headers
    assert headers["strict-transport-security"] == "max-age=63072000"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'self'"
    assert "permissions-policy" not in headers
    assert "permissions-policy" in curl("limited", "/hooks").headers


@pytest.mark.parametrize(("path", "port"), [("/", 21000), ("/apis", 21000), ("/api", 21020), ("/api/v1?x=1", 21020)])
def test_paths_lead_to_their_apps(curl: Curl, path: str, port: int) -> None:
    asked = curl("shop", path).asked
    assert (asked["port"], asked["path"]) == (port, path)


def test_a_websocket_passes(raw: Raw, name: str) -> None:
    request = (
        rf"GET /ws HTTP/1.1\r\nHost: shop.{name}.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        r"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    answer = raw("shop", request, r"hello\n")
    assert answer.startswith("HTTP/1.1 101 ")
    assert answer.endswith("hello\n")


def test_events_arrive_one_by_one(outside: Any, name: str, address_of: Callable[[str], str]) -> None:
    resolve = f"--resolve shop.{name}.test:443:{address_of(name)}"
    command = f"curl -ksN --max-time 1 {resolve} https://shop.{name}.test/events"
    first = outside.run(command).stdout
    assert first.startswith("data: 0")
    assert "data: 2" not in first, "the answer came as a whole"


def test_a_body_that_is_too_large(curl: Curl) -> None:
    assert curl("shop", "/", "-d", "x" * 60000).status == 200
    assert curl("shop", "/", "-d", "x" * 70000).status == 413
    chunked = curl("shop", "/", "-H", "Transfer-Encoding: chunked", "-d", "x" * 70000, "--http1.1")
    assert chunked.status == 413


def test_a_body_arrives_as_it_was_sent(curl: Curl) -> None:
    body = '{"a":  1.0, "b":"\\u00e9"}'
    assert curl("limited", "/hooks/stripe", "-d", body).asked["body"] == body


def test_a_rate_limit_refuses_and_says_for_how_long(curl: Curl) -> None:
    answers = [curl("limited") for _ in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and answers[0].status == 200
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert all(curl("limited", path).status == 200 for path in ("/hooks/a",) * 8 + ("/health",) * 8)
    assert any(curl("limited", "/hooks/../admin").status == 429 for _ in range(6))


def test_a_deploy_is_never_counted(machine: Any, name: str) -> None:
    command = f"curl -ks -o /dev/null -w '%{{http_code}} ' --resolve limited.{name}.test:443:127.0.0.1"
    codes = machine.check_output(f"for n in $(seq 12); do {command} https://limited.{name}.test/x; done").split()
    assert set(codes) == {"200"}


@pytest.mark.parametrize(
    ("path", "user", "status"),
    [
        ("/", None, 401),
        ("/", "ann:s3ntinel-password", 200),
        ("/", "ann:wrong", 401),
        ("/", "bob:s3ntinel-password", 401),
        ("/hooks/x", None, 200),
        ("/hooks/../admin", None, 401),
        ("/admin/../hooks", None, 401),
        ("/hooks/%2e%2e/admin", None, 401),
        ("/health", None, 200),
    ],
)
def test_a_password_is_asked_for(curl: Curl, path: str, user: str | None, status: int) -> None:
    answer = curl("staff", path, *(["-u", user] if user else []))
    assert answer.status == status
    if status == 200:
        assert "Authorization" not in answer.asked["headers"]


def test_the_password_is_nowhere_on_the_host(machine: Any) -> None:
    found = machine.run("grep -rlsF s3ntinel-password /etc /var/lib/quayside /var/log /usr/local /root /run || true")
    assert found.stdout == ""
    file = machine.file("/etc/nginx/quayside-passwords/staff")
    assert (file.user, file.group, file.mode) == ("root", "www-data", 0o640)


@pytest.mark.parametrize(
    ("address", "status"), [(None, 403), ("203.0.113.9", 200), ("198.51.100.1", 403), ("127.0.0.1, 198.51.100.1", 403)]
)
def test_the_clients_address_is_the_one_that_the_proxy_tells(curl: Curl, address: str | None, status: int) -> None:
    answer = curl("behind", "/", *(["-H", f"X-Client-Address: {address}"] if address else []))
    assert answer.status == status
    if status == 200:
        assert answer.asked["headers"]["X-Real-IP"] == address


def test_static_files_and_nothing_beside_them(curl: Curl) -> None:
    sheet = curl("shop", "/static/a.css")
    assert (sheet.status, sheet.body, sheet.headers["cache-control"]) == (200, "styles\n", "max-age=60")
    assert sheet.headers["x-content-type-options"] == "nosniff"
    refused = {path: curl("shop", path).status for path in ("/static/.env", "/static/link", "/static/", "/static/no")}
    assert set(refused.values()) <= {403, 404}, refused
    for path in ("/static/../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd"):
        assert "root:" not in curl("shop", path).body
    assert "root:" not in curl("shop", "/static../etc/passwd").body


@pytest.fixture
def switch(name: str, run_playbook: Callable[..., Any]) -> Callable[[str], Any]:
    """Switches the maintenance page of the shop as its owner does."""
    variables = {key: value for key, value in CONVERGE[0]["vars"].items() if key != "letsencrypt_ca_file"}
    return lambda state: run_playbook("maintenance.yml", limit=name, **variables, app="shop", state=state)


@pytest.fixture
def maintenance(machine: Any, switch: Callable[[str], Any]) -> Iterator[None]:
    processes = machine.check_output("pgrep nginx | sort")
    assert len(switch("on").changed) == 1
    assert switch("on").changed == []
    yield
    assert len(switch("off").changed) == 1
    assert machine.check_output("pgrep nginx | sort") == processes, "it was reloaded"


def test_a_state_that_there_is_not_is_refused(machine: Any, name: str, switch: Callable[[str], Any]) -> None:
    told = switch("perhaps").messages[name]
    assert told.startswith('maintenance: app is "shop" and state is "perhaps"; accepted: one of the apps ')
    assert not machine.file(FLAG).exists


def test_maintenance(curl: Curl, machine: Any, name: str, maintenance: None) -> None:
    for args in ((), ("-d", "a=1"), ("-X", "DELETE")):
        answer = curl("shop", "/x", *args, "-H", "Origin: https://app.example.com")
        assert (answer.status, answer.headers["retry-after"]) == (503, "120")
        assert "Back soon" in answer.body
        assert answer.cors["allow-origin"] == "https://app.example.com"
    assert curl("shop", "/static/a.css").status == 503
    assert curl("shop", "/health").status == 200
    assert curl("shop", "/api/x").status == 200, "another app of the domain"
    local = f"curl -ks -o /dev/null -w '%{{http_code}}' --resolve shop.{name}.test:443:127.0.0.1"
    assert machine.check_output(f"{local} https://shop.{name}.test/x") == "200"


def test_who_is_listed_is_let_in_during_maintenance(
    curl: Curl, outside: Any, address_of: Callable[[str], str], name: str, maintenance: None
) -> None:
    outside.check_output(f"ip address replace {INSIDER}/24 dev eth0")
    insider = ("--interface", INSIDER)
    answer = curl("shop", "/x", *insider, "-H", "Origin: https://app.example.com", "-H", "X-Forwarded-For: 192.0.2.1")
    assert answer.status == 200
    assert answer.asked["headers"]["X-Forwarded-For"] == INSIDER
    assert answer.cors["allow-origin"] == "https://app.example.com"
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert (sheet := curl("shop", "/static/a.css", *insider)).body == "styles\n"
    assert sheet.headers["cache-control"] == "max-age=60"
    assert curl("shop", "/static/.env", *insider).status == 404
    assert curl("shop", "/x").status == 503


def test_the_log_has_what_one_looks_for(curl: Curl, machine: Any) -> None:
    curl("shop", "/logged?token=s3ntinel-query")
    time.sleep(0.3)
    log = machine.file("/var/log/nginx/shop.access.log").content_string
    assert "s3ntinel-query" not in log
    entry = json.loads(log.splitlines()[-1])
    assert (entry["path"], entry["release"], entry["slot"]) == ("/logged", "r1", "shop_blue")
    assert len(entry["request_id"]) == 32
    assert float(entry["upstream_first_byte_seconds"]) >= 0
    machine.check_output("logrotate --force /etc/logrotate.d/nginx")
    curl("shop", "/after")
    time.sleep(0.3)
    assert "/after" in machine.file("/var/log/nginx/shop.access.log").content_string


def test_brotli_where_clients_take_it(curl: Curl) -> None:
    assert (
        curl("shop", "/big", "-H", "Accept-Encoding: br", "-o", "/dev/null", "-D", "-").headers["content-encoding"]
        == "br"
    )


def test_a_header_cannot_be_injected(raw: Raw, name: str) -> None:
    answer = raw("www.shop", rf"GET /%0d%0aX-Injected:%20yes HTTP/1.1\r\nHost: www.shop.{name}.test\r\n\r\n")
    assert "308" in answer.partition("\n")[0]
    assert "\nX-Injected" not in answer
    for bad in (
        r"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        rf"GET / HTTP/1.1\r\nHost: shop.{name}.test\r\nX: \x00\r\n\r\n",
    ):
        assert raw("shop", bad).startswith("HTTP/1.1 400")


CHUNK = r"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        r"Content-Length: 4\r\nTransfer-Encoding: chunked",
        r"Transfer-Encoding: chunked\r\nContent-Length: 4",
        r"Transfer-Encoding: xchunked",
        r"Transfer-Encoding : chunked",
        r"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        r"Transfer-Encoding:\tchunked, identity",
        r"Content-Length: 4\r\nContent-Length: 40",
        r"Content-Length: +4",
        r"Content-Length: 4, 4",
    ],
)
def test_a_request_with_two_lengths_is_refused(raw: Raw, curl: Curl, name: str, framing: str) -> None:
    answer = raw("shop", rf"POST /framed HTTP/1.1\r\nHost: shop.{name}.test\r\n{framing}\r\n\r\n{CHUNK}")
    assert answer.split(" ")[1] in ("400", "501"), answer
    assert not [line for line in curl("shop", "/seen").asked["seen"] if "smuggled" in line]


_SLOW = """
import socket, ssl, sys, time
address, name, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
open_ = []
for _ in range(count):
    stream = context.wrap_socket(socket.create_connection((address, 443), timeout=10), server_hostname=name)
    stream.sendall(b"GET / HTTP/1.1\\r\\nHost: " + name.encode() + b"\\r\\n")
    open_.append(stream)
print("open", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end:
    for stream in list(open_):
        try:
            stream.sendall(b"X-Slow: 1\\r\\n")
        except OSError:
            open_.remove(stream)
    time.sleep(2)
print("left", len(open_), flush=True)
"""


def test_slow_clients_are_shut_out_and_others_are_answered(
    outside: Any, curl: Curl, name: str, address_of: Callable[[str], str]
) -> None:
    outside.check_output("printf %%s %s > /tmp/slow.py", _SLOW)
    command = f"python3 /tmp/slow.py {address_of(name)} shop.{name}.test 200 26 > /tmp/slow-{name}.log 2>&1 &"
    outside.check_output(f"sh -c {command!r}")
    time.sleep(4)
    for _ in range(5):
        start = time.monotonic()
        assert curl("shop").status == 200
        assert time.monotonic() - start < 2
    time.sleep(27)
    assert "left 0" in outside.check_output(f"cat /tmp/slow-{name}.log")
