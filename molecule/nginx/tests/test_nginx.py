# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The sites as another machine sees them, and changes that must not hurt them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

FLAG = "/var/lib/quayside/apps/shop/green"
NAMES = ("shop.test", "www.shop.test", "blog.test", "log.test", "stranger.test")
CONVERGE = Path(__file__).parents[1] / "converge.yml"
SITES: list[dict[str, Any]] = yaml.safe_load(CONVERGE.read_text())[0]["vars"]["nginx_sites"]


@dataclass(frozen=True)
class Answer:
    code: int
    status: str
    headers: dict[str, str]
    body: str

    @property
    def asked(self) -> dict[str, Any]:
        """What the app's stand-in says it was asked."""
        return dict(json.loads(self.body))


Curl = Callable[..., Answer]
Converge = Callable[..., tuple[dict[str, int], str]]


@pytest.fixture(scope="module")
def name(host: Any) -> str:
    return str(host.backend.get_hostname())


@pytest.fixture(scope="module")
def machine(name: str, container: Callable[[str], Any]) -> Any:
    """The host through docker, which takes a tenth of the time that a command through Ansible does."""
    return container(name)


@pytest.fixture(scope="module")
def curl(machine: Any, name: str, outside: Any, address_of: Callable[[str], str]) -> Curl:
    """curl on another machine, with all names pointing at this host and its certificate trusted."""
    address = address_of(name)
    certificate = machine.file("/etc/ssl/quayside/fullchain.pem").content_string
    outside.check_output("printf %%s %s > /tmp/%s.pem", certificate, name)
    resolve = " ".join(f"--resolve {domain}:{port}:{address}" for domain in NAMES for port in (80, 443))

    def ask(*args: str) -> Answer:
        words = " ".join("'" + arg.replace("'", "'\\''") + "'" for arg in args)
        result = outside.run(f"curl -sS -i --compressed --max-time 10 --cacert /tmp/{name}.pem {resolve} {words}")
        head, _separator, body = result.stdout.replace("\r", "").partition("\n\n")
        status, *lines = head.split("\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        return Answer(result.rc, status, headers, body)

    return ask


@pytest.fixture(scope="module")
def converge(name: str, converge_with: Callable[..., Any]) -> Converge:
    """Converges this host with other variables; its counts, and what its failed task said."""

    def run(**variables: Any) -> tuple[dict[str, int], str]:
        done = converge_with(limit=name, **variables)
        return done.stats[name], done.messages.get(name, "")

    return run


@pytest.fixture
def restored(converge: Converge) -> Iterator[None]:
    """Afterwards the host serves what converge.yml says, and that is one change at most."""
    yield
    stats, output = converge()
    assert stats["failures"] == 0, output


def test_a_request_reaches_the_live_slot(curl: Curl) -> None:
    answer = curl("https://shop.test/a%2Fb?q=1&q=%20", "-H", "X-Forwarded-For: 6.6.6.6", "-H", "Forwarded: for=6.6.6.6")
    assert answer.status.startswith("HTTP/2 200")
    assert answer.asked["port"] == 21000
    assert answer.asked["path"] == "/a%2Fb?q=1&q=%20"
    headers = answer.asked["headers"]
    assert headers["Host"] == headers["X-Forwarded-Host"] == "shop.test"
    assert headers["X-Forwarded-Proto"] == "https"
    assert "6.6.6.6" not in json.dumps(headers)
    assert headers["X-Forwarded-For"] == headers["X-Real-IP"]
    assert "Connection" not in headers


@pytest.mark.parametrize("site", ["https://blog.test/", "https://log.test/"])
def test_all_domains_are_served_where_asked_for(curl: Curl, site: str) -> None:
    assert curl(site).asked["port"] == 21001


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://shop.test/a?b=c", "https://shop.test/a?b=c"),
        ("http://www.shop.test/a", "https://www.shop.test/a"),
        ("https://www.shop.test/a?b=c", "https://shop.test/a?b=c"),
        ("http://log.test/", "https://log.test/"),
    ],
)
def test_redirects(curl: Curl, url: str, target: str) -> None:
    answer = curl(url, "-X", "POST", "-d", "x=1")
    assert " 308" in answer.status
    assert answer.headers["location"] == target


def test_headers(curl: Curl) -> None:
    answer = curl("https://shop.test/")
    assert answer.headers["strict-transport-security"] == "max-age=63072000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["x-frame-options"] == "deny", "the site's own value, and not the app's"
    assert answer.headers["x-motto"] == 'say "hi"'
    assert not {"permissions-policy", "x-powered-by"} & set(answer.headers)
    assert answer.headers["server"] == "nginx"
    too_large = curl("https://shop.test/", "-d", "x" * 3000)
    assert " 413" in too_large.status
    assert too_large.headers["x-frame-options"] == "deny", "errors carry them too"


def test_gzip(curl: Curl) -> None:
    answer = curl("https://shop.test/big", "--http1.1")
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"]
    assert len(answer.asked["filling"]) == 4096


def test_a_silent_app_is_a_504(curl: Curl) -> None:
    assert " 504" in curl("https://blog.test/slow").status


def test_strangers_get_nothing(curl: Curl) -> None:
    assert curl("http://stranger.test/").code in (52, 56)
    assert curl("-k", "https://stranger.test/").code == 35
    assert " 421" in curl("https://shop.test/", "-H", "Host: stranger.test").status


def test_acme_challenges_are_answered_by_every_port_80_server(machine: Any, curl: Curl) -> None:
    folder = "/var/lib/quayside/acme/.well-known/acme-challenge"
    machine.check_output(f"mkdir -p {folder} && echo proof > {folder}/token")
    for domain in ("shop.test", "www.shop.test", "stranger.test"):
        assert curl(f"http://{domain}/.well-known/acme-challenge/token").body == "proof\n"
        assert " 404" in curl(f"http://{domain}/.well-known/acme-challenge/other").status
    machine.check_output(f"rm {folder}/token")


@pytest.mark.parametrize(("version", "accepted"), [("1_1", False), ("1_2", True), ("1_3", True)])
def test_tls_versions(outside: Any, address_of: Callable[[str], str], name: str, version: str, accepted: bool) -> None:
    ciphers = "" if version == "1_3" else "-cipher ALL@SECLEVEL=0"
    command = (
        f"openssl s_client -connect {address_of(name)}:443 -servername shop.test -tls{version} {ciphers} </dev/null"
    )
    result = outside.run(command)
    assert (result.rc == 0) is accepted, result.stdout


def test_the_hybrid_key_exchange_is_offered_where_openssl_knows_it(machine: Any, name: str) -> None:
    text = machine.file("/etc/nginx/quayside/http.conf").content_string
    assert ("X25519MLKEM768" in text) is (name == "debian13")


def test_a_websocket_passes(outside: Any, address_of: Callable[[str], str], name: str) -> None:
    request = (
        r"GET /ws HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        r"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    answer = outside.run(
        f"(printf '{request}'; sleep 0.5; echo hello; sleep 0.5) | "
        f"timeout 3 openssl s_client -quiet -connect {address_of(name)}:443 -servername shop.test 2>/dev/null"
    ).stdout
    assert "101 Switching Protocols" in answer
    assert answer.endswith("hello\n")


def nginx_processes(machine: Any) -> str:
    return str(machine.check_output("pgrep nginx | sort"))


def test_the_flag_switches_the_slot_without_a_reload(machine: Any, curl: Curl) -> None:
    processes = nginx_processes(machine)
    machine.check_output(f"mkdir -p $(dirname {FLAG}) && touch {FLAG}")
    assert curl("https://shop.test/").asked["port"] == 21010
    machine.check_output(f"rm {FLAG}")
    assert curl("https://shop.test/").asked["port"] == 21000
    assert nginx_processes(machine) == processes


@pytest.mark.parametrize(
    ("url", "slot"), [("shop.test/", "shop_blue"), ("blog.test/slow", "my_blog_blue")], ids=["an answer", "an error"]
)
def test_the_host_itself_is_told_the_slot(machine: Any, url: str, slot: str) -> None:
    domain, _slash, rest = url.partition("/")
    request = rf"GET /{rest} HTTP/1.1\r\nHost: {domain}\r\nX-Quayside-Slot: another lie\r\nConnection: close\r\n\r\n"
    answer = machine.run(
        f"printf '{request}' | timeout 5 openssl s_client -quiet -connect 127.0.0.1:443 -servername {domain}"
    ).stdout
    head = answer.replace("\r", "").partition("\n\n")[0]
    assert [line for line in head.split("\n") if line.lower().startswith("x-quayside-slot")] == [
        f"X-Quayside-Slot: {slot}"
    ]


@pytest.mark.parametrize("url", ["https://shop.test/", "https://www.shop.test/", "https://blog.test/slow"])
def test_nobody_else_is_told_the_slot(curl: Curl, url: str) -> None:
    answer = curl(url, "-H", "X-Forwarded-For: 127.0.0.1", "-H", "X-Real-IP: 127.0.0.1")
    assert answer.status.startswith("HTTP/2 ")
    assert "x-quayside-slot" not in answer.headers, "nor gets what the app claims"


def test_the_log_is_json_without_the_query(machine: Any, curl: Curl) -> None:
    curl("https://shop.test/logged?token=sentinel", "-H", "Referer: https://x.test/?token=sentinel", "-A", 'a "b" \\')
    time.sleep(0.2)
    log = machine.file("/var/log/nginx/shop.access.log").content_string
    assert "sentinel" not in log
    entry = json.loads(log.splitlines()[-1])
    assert (entry["path"], entry["status"], entry["slot"]) == ("/logged", "200", "shop_blue")
    assert entry["agent"] == 'a "b" \\'


def test_only_the_web_ports_are_open(
    open_ports: Callable[..., list[int]], address_of: Callable[[str], str], name: str
) -> None:
    assert open_ports(address_of(name)) == [22, 80, 443]


def test_the_running_nginx_serves_the_revision_of_its_files(machine: Any) -> None:
    answer = machine.check_output(
        "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:20080/revision\").read().decode())'"
    ).strip()
    assert answer in machine.file("/etc/nginx/quayside/revision.conf").content_string
    assert machine.service("nginx").is_enabled


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ({"body_limit": "many"}, 'site "bad": body_limit is "many"; accepted: a size such as 512k, 10m or 1g.'),
        (
            {"upstreams": {"blue": ["no-such.invalid:80"]}},
            'site "bad": host not found in upstream "no-such.invalid:80" in /etc/nginx/quayside/sites/bad.conf:',
        ),
        ({"certificate": "/absent.pem"}, "cannot load certificate"),
        ({"domains": ["shop.test"]}, 'site "bad": domains has "shop.test", which site "shop" has too'),
    ],
    ids=["bad value", "only nginx sees it", "no certificate", "domain taken"],
)
def test_a_broken_site_changes_nothing(
    machine: Any, converge: Converge, curl: Curl, site: dict[str, Any], words: str
) -> None:
    before = machine.check_output("find /etc/nginx -type f -exec sha256sum {} + | sort")
    processes = nginx_processes(machine)
    broken = SITES[1] | {"name": "bad", "domains": ["bad.test"]} | site
    stats, output = converge(nginx_sites=[*SITES, broken])
    assert (stats["failures"], stats["changed"]) == (1, 0)
    assert words in output, output
    assert machine.check_output("find /etc/nginx -type f -exec sha256sum {} + | sort") == before
    assert nginx_processes(machine) == processes
    assert curl("https://shop.test/").asked["port"] == 21000


def test_a_site_that_is_no_longer_declared_goes_and_others_stay(
    machine: Any, converge: Converge, curl: Curl, restored: None
) -> None:
    foreign = "/etc/nginx/conf.d/foreign.conf"
    machine.check_output(f"echo 'server {{ listen 8081; return 204; }}' > {foreign}")
    try:
        stats, output = converge(nginx_sites=SITES[:1])
        assert (stats["failures"], stats["changed"]) == (0, 1), output
        assert curl("https://blog.test/").code == 35
        assert curl("http://blog.test/").code in (52, 56)
        assert curl("https://shop.test/").asked["port"] == 21000
        assert not machine.file("/etc/nginx/quayside/sites/my-blog.conf").exists
        assert (
            " 204"
            in curl(
                "http://shop.test:8081/", "--resolve", f"shop.test:8081:{machine.interface('eth0').addresses[0]}"
            ).status
        )
    finally:
        machine.check_output(f"rm {foreign}")


def test_a_reload_that_takes_no_effect_is_undone(machine: Any, converge: Converge, curl: Curl) -> None:
    """nginx -t passes and systemctl reload returns 0 where a port is in use, and the old configuration stays."""
    machine.check_output("systemd-run --unit=squatter python3 -m http.server 20081")
    before = machine.check_output("find /etc/nginx -type f -exec sha256sum {} + | sort")
    time.sleep(0.5)
    foreign = SITES[1] | {"name": "bad", "domains": ["bad.test"]}
    try:
        machine.check_output("echo 'server { listen 20081; }' > /etc/nginx/conf.d/late.conf")
        stats, output = converge(nginx_sites=[*SITES, foreign])
        assert (stats["failures"], stats["changed"]) == (1, 0)
        assert "bind() to 0.0.0.0:20081 failed (98: Address already in use)" in output, output
    finally:
        machine.check_output("rm /etc/nginx/conf.d/late.conf; systemctl stop squatter")
    assert machine.check_output("find /etc/nginx -type f -exec sha256sum {} + | sort") == before
    assert curl("https://shop.test/").asked["port"] == 21000


def test_a_stopped_nginx_is_started_again(machine: Any, converge: Converge, curl: Curl) -> None:
    machine.check_output("systemctl disable --now nginx")
    stats, output = converge()
    assert (stats["failures"], stats["changed"]) == (0, 1), output
    assert machine.service("nginx").is_enabled
    assert curl("https://shop.test/").asked["port"] == 21000


def test_a_taken_port_is_refused_before_anything_changes(machine: Any, converge: Converge, curl: Curl) -> None:
    machine.check_output("systemctl stop nginx && systemd-run --unit=squatter python3 -m http.server 80")
    time.sleep(0.5)
    try:
        stats, output = converge(nginx_sites=[])
        assert (stats["failures"], stats["changed"]) == (1, 0)
        assert "port 80: python3 (pid " in output
        assert "stop it with 'systemctl disable --now squatter.service'" in output
    finally:
        machine.check_output("systemctl stop squatter; systemctl start nginx")
    assert curl("https://shop.test/").asked["port"] == 21000
