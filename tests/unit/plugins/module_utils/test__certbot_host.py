# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What certificates keep on a host: credentials that only root reads, records, and who still uses what."""

from __future__ import annotations

import json
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
