# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_connect
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._pg_connect import connect
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

SECRET = "s3ntinel"
URL = parse(f"postgresql://u:{SECRET}@h/d?sslmode=verify-full&sslrootcert=/ca.pem")


class Connection:
    autocommit = False
    closed = 0

    def __init__(self, pid: int, encoding: str = "UTF8") -> None:
        self.pid = pid
        self.encodings = [encoding]
        self.info = self

    def parameter_status(self, name: str) -> str:
        return {"server_encoding": self.encodings[0]}[name]

    def set_client_encoding(self, encoding: str) -> None:
        self.encodings.append(encoding)

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, _query: str) -> None:
        pass

    def fetchone(self) -> tuple[int]:
        return (self.pid,)

    def get_backend_pid(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = 1


def test_a_direct_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(psycopg2, "connect", lambda **arguments: asked.update(arguments) or Connection(7))
    assert connect(URL, dbname="postgres").autocommit
    assert (asked["host"], asked["dbname"], asked["password"]) == ("h", "postgres", SECRET)
    assert (asked["sslmode"], asked["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert asked["application_name"] == "quayside-backup" and asked["keepalives_idle"] and asked["connect_timeout"]


@pytest.mark.parametrize(("encoding", "set_to"), [("UTF8", []), ("LATIN1", []), ("SQL_ASCII", ["LATIN1"])])
def test_names_without_an_encoding_keep_their_bytes(
    monkeypatch: pytest.MonkeyPatch, encoding: str, set_to: list[str]
) -> None:
    monkeypatch.setattr(psycopg2, "connect", lambda **_: Connection(7, encoding))
    assert connect(URL).encodings[1:] == set_to


def test_a_pooler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = Connection(8)
    monkeypatch.setattr(psycopg2, "connect", lambda **_: pooled)
    with pytest.raises(BackupError, match=r"postgresql://u:\*\*\*@h:5432/d: a connection pooler answered"):
        connect(URL)
    assert pooled.closed


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            'connection to server at "h" (::1), port 5432 failed: Connection refused\n\tIs the server running?',
            "Connection refused; check host and port in its URL",
        ),
        (
            f'connection to server at "h", port 5432 failed: FATAL:  password authentication failed for "{SECRET}"\n',
            'password authentication failed for "***"; check the user and the password',
        ),
        ("", "the connection is gone"),
    ],
)
def test_a_failure_is_explained_without_the_secret(monkeypatch: pytest.MonkeyPatch, message: str, words: str) -> None:
    def fail(**_: object) -> None:
        raise psycopg2.OperationalError(message)

    monkeypatch.setattr(psycopg2, "connect", fail)
    with pytest.raises(BackupError) as caught:
        connect(URL)
    assert words in str(caught.value) and SECRET not in str(caught.value)


def test_a_missing_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_pg_connect, "psycopg2")
    with pytest.raises(BackupError, match="install the package python3-psycopg2"):
        connect(URL)
