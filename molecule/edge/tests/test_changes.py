# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Changes that must not hurt: what one app declares never costs another one its site or its WebSockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

testinfra_hosts = ["ansible://web"]

CONVERGE = yaml.safe_load((Path(__file__).parents[1] / "converge.yml").read_text())
APPS: list[dict[str, Any]] = CONVERGE[0]["vars"]["quayside_apps"]
SUMS = "find /etc/nginx -type f -exec sha256sum {} + | sort"
OLD_WORKERS = "pgrep -f 'worker process is [s]hutting down'"
Curl = Callable[..., Any]


def apps(name: str, **changes: Any) -> list[dict[str, Any]]:
    return [{**app, **(changes if app["name"] == name else {})} for app in APPS]


@pytest.fixture
def converge(name: str, converge_with: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **variables: converge_with(limit=name, **variables)


def test_a_websocket_outlives_another_apps_change_as_long_as_is_said(
    raw: Callable[..., str], converge: Callable[..., Any], machine: Any, name: str
) -> None:
    request = (
        rf"GET /ws HTTP/1.1\r\nHost: shop.{name}.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        r"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(raw, "shop", request, r"before\n", r"after\n", wait=2)
        machine.check_output(f"sleep 1; systemctl reload nginx; sleep 3; {OLD_WORKERS}")
        machine.check_output(f"sleep 3.5; ! {OLD_WORKERS}")
        assert answer.result().endswith("before\nafter\n")


@pytest.mark.parametrize(
    ("app", "changes", "words"),
    [
        ("limited", {"cors": {"origins": ["*"], "credentials": True}}, 'cors.origins is a list with "*"'),
        ("limited", {"headers": {"X-Frame-Option": "DENY"}}, "did you mean X-Frame-Options?"),
        ("limited", {"allow_from": ["10.0.0.1/8"]}, 'allow_from[0] is "10.0.0.1/8"'),
        ("api", {"paths": ["/"], "health": {}}, "which app "),
        ("lan", {"certificate": {"source": "file", "certificate": "x.pem"}}, "certificate.key is missing"),
        ("lan", {"domains": ["-lan.test"]}, "a host name such as app.example.com"),
    ],
    ids=["wildcard with credentials", "header", "network", "overlapping paths", "no key", "domain"],
)
def test_bad_input_changes_nothing(
    converge: Callable[..., Any], machine: Any, name: str, app: str, changes: dict[str, Any], words: str
) -> None:
    before = machine.check_output(SUMS)
    run = converge(quayside_apps=apps(app, **changes))
    assert (run.stats[name]["failures"], run.stats[name]["changed"]) == (1, 0)
    assert words in run.messages[name]
    assert machine.check_output(SUMS) == before


def test_an_unknown_directive_is_named_and_what_serves_serves_on(
    converge: Callable[..., Any], machine: Any, curl: Curl, name: str
) -> None:
    before = machine.check_output(SUMS)
    broken = "/etc/nginx/conf.d/other.conf"
    machine.check_output(f"echo 'nonsense on;' > {broken}")
    try:
        run = converge(quayside_apps=apps("limited", body_limit="9m"))
    finally:
        machine.check_output(f"rm {broken}")
    assert run.stats[name]["failures"] == 1
    assert f'unknown directive "nonsense" in {broken}:1' in run.messages[name]
    assert curl("shop").status == 200
    assert machine.check_output(SUMS) == before


@pytest.fixture
def full_disk(machine: Any) -> Iterator[None]:
    """/etc/nginx on a file system without a free block."""
    machine.check_output(
        "mkdir -p /mnt/full; mount -t tmpfs -o size=4m tmpfs /mnt/full; cp -a /etc/nginx/. /mnt/full/;"
        " dd if=/dev/zero of=/mnt/full/filling bs=4k 2>/dev/null; mount --bind /mnt/full /etc/nginx"
    )
    yield
    machine.check_output("umount /etc/nginx /mnt/full")


def test_a_full_disk_is_told_and_what_serves_serves_on(
    converge: Callable[..., Any], machine: Any, curl: Curl, name: str, full_disk: None
) -> None:
    before = machine.check_output(SUMS)
    run = converge(quayside_apps=apps("limited", body_limit="9m"))
    assert run.stats[name]["failures"] == 1
    assert "No space left on device" in run.messages[name]
    assert machine.check_output(SUMS) == before
    assert machine.run("ls -d /etc/nginx/.quayside-*").rc != 0
    assert curl("shop").status == 200


def test_sites_of_others_stay_unless_that_is_asked_for(converge: Callable[..., Any], machine: Any, name: str) -> None:
    machine.check_output("echo 'server { listen 8081; return 204; }' > /etc/nginx/conf.d/foreign.conf")
    assert converge().failed == []
    assert machine.file("/etc/nginx/conf.d/foreign.conf").exists
    run = converge(nginx_purge_unmanaged=True)
    assert (run.stats[name]["failures"], run.stats[name]["changed"]) == (0, 1)
    assert not machine.file("/etc/nginx/conf.d/foreign.conf").exists
    assert "8081" not in machine.check_output("ss -Htln")
