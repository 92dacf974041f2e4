# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What certificates keep on a host: credentials that only root reads, records, and who still uses what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _certbot_host as host
from ansible_collections.quayside.web.plugins.module_utils._certbot_record import Failure, Record


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("plugin", "text"),
    [("ovh", "a = 1\nb = 2\n"), ("google", '{"b": 2, "a": 1}')],
    ids=["settings", "a service account"],
)
def test_credentials_are_roots_alone(tmp_path: Path, plugin: str, text: str) -> None:
    path, new = host.write_credentials(plugin, {"b": 2, "a": 1}, tmp_path)
    assert (path.read_text(), mode(path), mode(path.parent), new) == (text, 0o600, 0o700, True)
    assert host.write_credentials(plugin, {"b": 2, "a": 1}, tmp_path) == (path, False)
    path.chmod(0o644)
    assert host.write_credentials(plugin, {"b": 2, "a": 1}, tmp_path)[1], "readable by others is not as it should be"
    assert mode(path) == 0o600


def test_a_record_is_kept(tmp_path: Path) -> None:
    record = Record(frozenset({"shop"}), {"blog": Failure(1.5, "abc", "It was refused.")})
    path = tmp_path / "quayside" / "certificates.json"
    host.write_record(record, path)
    assert host.read_record(path) == record
    path.write_text("{")
    assert host.read_record(path) == Record(), "half a file is no reason to stop"


def test_a_certificate_that_nginx_names_is_in_use(tmp_path: Path) -> None:
    sites = tmp_path / "nginx" / "sites"
    sites.mkdir(parents=True)
    config = tmp_path / "letsencrypt"
    (sites / "shop.conf").write_text(f"ssl_certificate {config}/live/shop/fullchain.pem;\n")
    assert host.users_of("shop", [tmp_path / "nginx"], config) == [str(sites / "shop.conf")]
    assert host.users_of("sho", [tmp_path / "nginx"], config) == []


@pytest.mark.parametrize(("account", "lost"), [("0a1b", False), ("ffff", True), ("", False)])
def test_an_account_is_looked_for(tmp_path: Path, account: str, lost: bool) -> None:
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal" / "shop.conf").write_text(
        f"[renewalparams]\naccount = {account}\nserver = https://a.test/dir\n"
    )
    (tmp_path / "accounts" / "a.test" / "dir" / "0a1b").mkdir(parents=True)
    found = host.lineages(lambda argv: (0, "DNS:shop.test\n", ""), tmp_path)
    assert found["shop"].account_lost is lost
    assert host.names(tmp_path) == {"shop"}


@pytest.mark.parametrize(
    ("code", "said", "addresses"),
    [
        (0, [{"addr_info": [{"local": "192.0.2.1"}, {"local": "2001:db8::1"}]}, {}], {"192.0.2.1", "2001:db8::1"}),
        (1, [], set()),
    ],
    ids=["both families", "no ip program"],
)
def test_the_hosts_addresses(code: int, said: list[object], addresses: set[str]) -> None:
    assert host.own_addresses(lambda argv: (code, json.dumps(said), "")) == addresses


def test_a_token_is_gone_afterwards(tmp_path: Path) -> None:
    with host.served_token(tmp_path):
        (token,) = (tmp_path / ".well-known" / "acme-challenge").iterdir()
        assert mode(token) == 0o644
        assert len(token.read_text()) > 20
    assert not token.exists()


class Web(BaseHTTPRequestHandler):
    """Several web hosts: one that is asked for, one that leads to it, one that leads away, one that leads nowhere."""

    def do_GET(self) -> None:
        name = self.headers["Host"].partition(":")[0]
        here = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        leads = {
            "leads.test": f"{here}{self.path}",
            "asks.test": f"{here}/?for={self.path}",
            "away.test": f"{here}/",
            "loop.test": f"http://{self.headers['Host']}/",
        }
        body = b"ours" if name in ("good.test", "127.0.0.1") and self.path.endswith("/token") else b"theirs"
        self.send_response(302 if name in leads else 200)
        if name in leads:
            self.send_header("Location", leads[name])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.mark.parametrize(
    ("name", "ok", "found"),
    [
        ("good.test", True, ""),
        ("leads.test", True, ""),
        ("asks.test", True, ""),
        ("away.test", False, "led to http://127.0.0.1:PORT/, which answered with another page"),
        ("other.test", False, "answered with another page"),
    ],
)
def test_a_token_is_looked_for_where_the_name_leads(port: int, name: str, ok: bool, found: str) -> None:
    reached = host._reach("127.0.0.1", f"{name}:{port}", "token", "ours")
    assert (reached.ok, reached.found) == (ok, found.replace("PORT", str(port)))


def test_a_name_that_leads_to_nobody_is_told(port: int) -> None:
    reached = host._reach("127.0.0.1", f"loop.test:{port}", "token", "ours")
    assert not reached.ok and not reached.refused
    assert reached.found.startswith(f"led to http://loop.test:{port}/, which did not answer (")
