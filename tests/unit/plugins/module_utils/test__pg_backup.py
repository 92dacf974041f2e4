# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_programs
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import Options, rotate, take, verify
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import DUMP, BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep
from ansible_collections.quayside.web.plugins.module_utils._pg_store import load

SECRET = "s3ntinel"
URL = parse(f"postgresql://u:{SECRET}@h:5433/d")

# Stand-ins for the clients: their faults are chosen by files beside them, and they note how they were called.
CLIENT = """#!/bin/sh
here=$(dirname "$0")
tool=$(basename "$0")
out=
for argument; do case "$argument" in --file=*) out=${argument#--file=} ;; esac; done
{ echo "$tool $*"; env; } >> "$here/calls"
[ -n "$PGPASSFILE" ] && [ -r "$PGPASSFILE" ] && cat "$PGPASSFILE" >> "$here/passwords"
[ -e "$here/$tool.sleep" ] && { echo $$ > "$here/pid"; echo part > "${out:-/dev/null}"; exec sleep 60; }
[ -e "$here/$tool.fail" ] && { [ -n "$out" ] && echo part > "$out"; cat "$here/$tool.fail" >&2; exit 1; }
super=$(cat "$here/superuser" 2>/dev/null || echo false)
case "$tool" in
  psql) printf '7710430667055238292\\n150018|15.18 (Debian)|%s\\n' "$super" ;;
  pg_dump) cat "$here/content" > "$out" ;;
  pg_dumpall) echo 'CREATE ROLE u;' > "$out" ;;
  pg_restore)
    [ "$1" = --list ] && exec cat "$here/listing"
    grep -q whole "$2" || { echo 'pg_restore: error: cut' >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clients/15/bin"
    folder.mkdir(parents=True)
    for tool in ("psql", "pg_dump", "pg_dumpall", "pg_restore"):
        (folder / tool).write_text(CLIENT)
        (folder / tool).chmod(0o755)
    (folder / "content").write_text("a whole dump\n")
    (folder / "listing").write_text("3318; 0 16389 TABLE DATA public t app\n")
    monkeypatch.setattr(_pg_programs, "CLIENTS", tmp_path / "clients")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "root")


def visible(root: str) -> list[str]:
    folder = Path(root) / "ledger"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []


def test_a_backup_is_complete_private_and_proven(clients: Path, root: str) -> None:
    manifest = take(root, "ledger", URL, Options())
    (backup,) = load(root, "ledger")
    assert backup.verified and backup.manifest == manifest
    assert len(manifest.tables) == 1 and manifest.size == len("a whole dump\n") + len("CREATE ROLE u;\n")
    assert manifest.system_identifier == "7710430667055238292" and manifest.server_version == "15.18"
    assert visible(root) == [manifest.id]
    for path in [Path(root), *Path(root).rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_password_goes_through_a_private_file_alone(clients: Path, root: str) -> None:
    take(root, "ledger", URL, Options())
    assert SECRET not in (clients / "calls").read_text()
    assert set((clients / "passwords").read_text().splitlines()) == {f"h:5433:*:u:{SECRET}"}
    assert "--lock-wait-timeout=60000" in (clients / "calls").read_text()


@pytest.mark.parametrize(("superuser", "asked"), [("true", False), ("false", True)])
def test_role_passwords_only_as_superuser(clients: Path, root: str, superuser: str, asked: bool) -> None:
    (clients / "superuser").write_text(superuser)
    manifest = take(root, "ledger", URL, Options())
    assert ("--no-role-passwords" in (clients / "calls").read_text()) is asked
    assert bool(manifest.notes) is asked


def test_a_server_that_denies_globals_is_backed_up_and_says_so(clients: Path, root: str) -> None:
    (clients / "pg_dumpall.fail").write_text("pg_dumpall: error: query failed: ERROR:  permission denied for x")
    manifest = take(root, "ledger", URL, Options())
    assert [file.name for file in manifest.files] == [DUMP]
    assert "roles and tablespaces are not in it: permission denied for x" in manifest.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "psql.fail",
            f"psql: error: FATAL:  password authentication failed {SECRET}",
            "password authentication failed",
        ),
        ("pg_dump.fail", "pg_dump: error: could not write to output file: No space left on device", "No space left"),
        ("pg_restore.fail", "pg_restore: error: could not read", "cannot be read back: could not read"),
        ("content", "", "wrote nothing"),
        ("content", "a cut dump", "does not decode: cut"),
        ("listing", "; nothing", "holds no table now, but 1"),
    ],
)
def test_a_failure_keeps_what_was_there_and_nothing_else(
    clients: Path, root: str, name: str, content: str, words: str
) -> None:
    good = take(root, "ledger", URL, Options())
    (clients / name).write_text(content)
    with pytest.raises(BackupError, match=words) as caught:
        take(root, "ledger", URL, Options())
    assert SECRET not in str(caught.value)
    assert visible(root) == [good.id]
    (clients / "content").write_text("a whole dump\n")
    (clients / "listing").write_text("3318; 0 16389 TABLE DATA public t app\n")
    (clients / name).unlink() if name.endswith(".fail") else None
    assert take(root, "ledger", URL, Options()).id > good.id


def test_no_client(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pg_programs, "CLIENTS", tmp_path / "nowhere")
    with pytest.raises(BackupError, match="install the package postgresql-client"):
        take(root, "ledger", URL, Options())


def test_a_root_that_cannot_be_written(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match="Cannot write to"):
        take(str(tmp_path / "file/root"), "ledger", URL, Options())


def test_two_runs_at_once(clients: Path, root: str) -> None:
    take(root, "ledger", URL, Options())
    with (Path(root) / "ledger/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(BackupError, match="Another run works on the backups of ledger"):
            take(root, "ledger", URL, Options(wait=0))
    assert len(visible(root)) == 1


def wait_for_death(pid: int) -> None:
    deadline = time.monotonic() + 10
    with contextlib.suppress(FileNotFoundError):
        while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() < deadline, "the dump outlived its run"
            time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_backup_and_the_next_one_sweeps(clients: Path, root: str, number: int) -> None:
    (clients / "pg_dump.sleep").write_text("")
    program = (
        "import signal, sys; from pathlib import Path\n"
        "from ansible_collections.quayside.web.plugins.module_utils import _database_url as u\n"
        "from ansible_collections.quayside.web.plugins.module_utils import _pg_backup as b, _pg_programs as p\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"p.CLIENTS = Path({str(clients.parent.parent)!r})\n"
        f"b.take({root!r}, 'ledger', u.parse('postgresql://u@h/d'), b.Options())\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    deadline = time.monotonic() + 20
    while not list(Path(root).glob("ledger/.tmp-*/" + DUMP)):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    child.send_signal(number)
    child.wait(10)
    wait_for_death(int((clients / "pid").read_text()))
    assert load(root, "ledger") == []
    assert bool(visible(root)) is (number == signal.SIGKILL)
    (clients / "pg_dump.sleep").unlink()
    manifest = take(root, "ledger", URL, Options(wait=0))
    assert visible(root) == [manifest.id]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("a whole", "7 bytes instead of 13"), ("b whole dump\n", ""), (None, "dump.pgc is missing")],
)
def test_damage_is_found(clients: Path, root: str, content: str | None, problem: str) -> None:
    manifest = take(root, "ledger", URL, Options())
    dump = Path(root) / "ledger" / manifest.id / DUMP
    dump.unlink() if content is None else dump.write_text(content)
    assert problem in load(root, "ledger")[0].problem
    assert not verify(root, "ledger", manifest.id).verified
    # A flipped byte shows only to a checksum; once found, it is remembered.
    assert load(root, "ledger")[0].problem


def test_a_sound_backup_stays_verified(clients: Path, root: str) -> None:
    assert verify(root, "ledger", take(root, "ledger", URL, Options()).id).verified


def test_rotation_applies_its_plan(clients: Path, root: str) -> None:
    ids = [take(root, "ledger", URL, Options()).id for _time in range(4)]
    decided = rotate(root, "ledger", Keep(1, 0, 0, 0), 2)
    assert decided.removed == (ids[1], ids[0])
    assert visible(root) == ids[2:]
