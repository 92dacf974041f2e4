# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Databases that let an app in, and those that do not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.modules import database_check

URL = "postgresql://shop:s3ntinel@db.example.com/shop"


class Ended(Exception):
    pass


class PostgresError(Exception):
    pass


def run(monkeypatch: pytest.MonkeyPatch, **databases: str) -> dict[str, Any]:
    result: dict[str, Any] = {}

    def end(module: Any, **values: Any) -> None:
        assert "" not in module.no_log_values, "every letter of the output would be masked"
        result.update(values)
        raise Ended

    monkeypatch.setattr(database_check.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(database_check.AnsibleModule, "fail_json", end)
    with patch_module_args({"databases": databases, "timeout": 1}), pytest.raises(Ended):
        database_check.main()
    return result


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A PostgreSQL that lets everyone in, or says why not."""

    def behave(refusal: str) -> None:
        def connect(**options: Any) -> Any:
            assert (options["connect_timeout"], options["host"], options["password"]) == (
                1,
                "db.example.com",
                "s3ntinel",
            )
            if refusal:
                raise PostgresError(refusal)
            return SimpleNamespace(close=lambda: None)

        monkeypatch.setattr(database_check, "HAS_PSYCOPG2", True)
        monkeypatch.setattr(
            database_check, "psycopg2", SimpleNamespace(connect=connect, Error=PostgresError), raising=False
        )

    behave("")
    return behave


def test_a_database_that_lets_in_is_good(monkeypatch: pytest.MonkeyPatch, server: object) -> None:
    assert run(monkeypatch, shop=URL) == {"changed": False, "logged_in": True}


def test_no_database_is_no_mistake(monkeypatch: pytest.MonkeyPatch, server: object) -> None:
    assert run(monkeypatch)["changed"] is False


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ('FATAL:  password authentication failed for user "shop"\n', "password authentication failed"),
        (
            "connection to 10.0.0.1 failed: refused\nconnection to 10.0.0.2 failed: timeout\n",
            "10.0.0.2 failed: timeout",
        ),
    ],
)
def test_a_refusal_is_told_once_with_the_url_masked(
    monkeypatch: pytest.MonkeyPatch, server: Callable[[str], None], refusal: str, why: str
) -> None:
    server(refusal)
    told = run(monkeypatch, shop=URL)["msg"]
    assert told.startswith('app "shop": database_url leads to postgresql://shop:***@db.example.com:5432/shop, ')
    assert why in told
    assert "10.0.0.1" not in told
    assert "s3ntinel" not in told


def test_a_url_without_a_password_garbles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_check, "HAS_PSYCOPG2", False)
    assert "postgresql://shop@127.0.0.1:1/shop" in run(monkeypatch, shop="postgresql://shop@127.0.0.1:1/shop")["msg"]


def test_every_app_gets_its_sentence(monkeypatch: pytest.MonkeyPatch, server: Callable[[str], None]) -> None:
    server("FATAL:  no")
    told = run(monkeypatch, shop=URL, blog=URL, news="mysql://s3ntinel@x/y")["msg"]
    for app in ("shop", "blog", "news"):
        assert f'app "{app}": database_url' in told
    assert "s3ntinel" not in told


def test_without_the_driver_the_port_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_check, "HAS_PSYCOPG2", False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert run(monkeypatch, shop=f"postgresql://shop:s3ntinel@127.0.0.1:{port}/shop") == {
            "changed": False,
            "logged_in": False,
        }
    assert "refused" in run(monkeypatch, shop=f"postgresql://shop:s3ntinel@127.0.0.1:{port}/shop")["msg"]
