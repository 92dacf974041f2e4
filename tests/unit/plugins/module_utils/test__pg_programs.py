# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
import pwd
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_programs
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import (
    installed_clients,
    reading,
    run,
    socket_user,
    tool,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

SECRET = "s3ntinel"
URL = parse(f"postgresql://u:{SECRET}@h:5433/d?sslmode=require")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def test_clients_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in ("17", "9", "15", "nightly"):
        (tmp_path / major / "bin").mkdir(parents=True)
        (tmp_path / major / "bin/pg_dump").touch()
    monkeypatch.setattr(_pg_programs, "CLIENTS", tmp_path)
    assert installed_clients() == [9, 15, 17]
    assert tool(17, "psql") == f"{tmp_path}/17/bin/psql"


def test_a_client_gets_its_settings_and_its_password_by_a_file() -> None:
    said = run(["sh", "-c", 'cat "$PGPASSFILE"; env'], replace(URL, database="other"))
    assert said.startswith(f"h:5433:*:u:{SECRET}\n") and said.count(SECRET) == 1
    for line in ("PGHOST=h", "PGPORT=5433", "PGDATABASE=other", "PGSSLMODE=require", "LC_ALL=C"):
        assert line in said.splitlines()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'pg_dump: error: it is full' >&2; exit 1", "it is full"),
        (f"echo 'pg_dump: error: {SECRET}' >&2; exit 1", r"\*\*\*"),
        ("kill -9 $$", "it was ended by signal 9"),
        ("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1", "x{300}$"),
    ],
)
def test_a_failure_is_explained(script: str, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        run(["sh", "-c", script], URL)


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pg_programs.shutil, "which", lambda _name: None)
    with pytest.raises(BackupError, match="/nowhere/pg_dump does not start: No such file or directory"):
        run(["/nowhere/pg_dump"])


def test_output_may_go_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "dump").open("wb") as output:
        assert run(["sh", "-c", "echo dumped"], output=output) == ""
    assert (tmp_path / "dump").read_text() == "dumped\n"


def test_a_watcher_looks_and_may_end_the_client(tmp_path: Path) -> None:
    looks: list[float] = []

    def look() -> None:
        looks.append(time.monotonic())
        if len(looks) == 2:
            raise BackupError("the session is gone")

    started = time.monotonic()
    with pytest.raises(BackupError, match="the session is gone"):
        run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"], watch=look)
    assert time.monotonic() - started < 10
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_watching_loses_no_output() -> None:
    assert len(run(["sh", "-c", "head -c 200000 /dev/zero; sleep 0.6; printf x"], watch=lambda: None)) == 200_001


def test_a_stream_is_read_and_its_end_checked() -> None:
    with reading(["sh", "-c", "echo one; echo two"]) as stream:
        assert stream.read() == b"one\ntwo\n"
    with pytest.raises(BackupError, match="cut"), reading(["sh", "-c", "echo one; echo cut >&2; exit 1"]) as stream:
        stream.read()


def test_a_stream_that_nobody_reads_on_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(KeyError), reading(["sh", "-c", "exec sleep 60"]):
        raise KeyError
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://nobody@/d?host=/run/postgresql", "nobody"),
        ("postgresql://nobody@h/d", None),
        ("postgresql://no-such-user@/d?host=/run/postgresql", None),
        ("postgresql://root@/d?host=/run/postgresql", None),
    ],
)
@ROOT
def test_who_to_be_on_a_socket(url: str, expected: str | None) -> None:
    assert socket_user(parse(url)) == expected


@ROOT
def test_another_user_on_a_socket_reads_the_password_and_what_is_roots(tmp_path: Path) -> None:
    secret = tmp_path / "dump.pgc"
    secret.write_text("dump")
    secret.chmod(0o600)
    url = parse(f"postgresql://nobody:{SECRET}@/d?host=/run/postgresql")
    uid, password, dump = run(["sh", "-c", f'id -u; cat "$PGPASSFILE"; cat {secret}'], url).splitlines()
    assert int(uid) == pwd.getpwnam("nobody").pw_uid
    assert SECRET in password and dump == "dump"
