# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_backup, _pg_draft, _pg_programs, _pg_verify
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import (
    Options,
    Quarantined,
    accept,
    rotate,
    take,
    verify,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_relations import Relation, Selection
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    GLOBALS,
    SEALED,
    BackupError,
    Manifest,
    Proof,
    Table,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep
from ansible_collections.quayside.web.plugins.module_utils._pg_snapshot import Overtaken, Source
from ansible_collections.quayside.web.plugins.module_utils._pg_store import load

SECRET = "s3ntinel"
URL = parse(f"postgresql://u:{SECRET}@h:5433/d")
TABLE = "3318; 0 16389 TABLE DATA public t app\n"
COPY = "\nCOPY public.t (a) FROM stdin;\n1\n2\n\\.\n"

# Stand-ins for the clients: their faults are chosen by files beside them, and they note how they were called.
CLIENT = """#!/bin/sh
here=$(dirname "$0")
tool=$(basename "$0")
{ echo "$tool $*"; env; } >> "$here/calls"
[ -n "$PGPASSFILE" ] && [ -r "$PGPASSFILE" ] && cat "$PGPASSFILE" >> "$here/passwords"
[ -e "$here/$tool.sleep" ] && { echo $$ > "$here/pid"; echo part; exec sleep 60; }
[ -e "$here/$tool.fail" ] && { echo part; cat "$here/$tool.fail" >&2; exit 1; }
super=$(cat "$here/superuser" 2>/dev/null || echo false)
case "$tool" in
  psql) printf '7710430667055238292\\n150018|15.18 (Debian)|%s\\n' "$super" ;;
  pg_dump) cat "$here/content" ;;
  pg_dumpall) echo 'CREATE ROLE u;' ;;
  pg_restore)
    [ "$1" = --list ] && exec cat "$here/listing"
    grep -q whole "$3" || { echo 'pg_restore: error: cut' >&2; exit 1; }
    cat "$here/copy" ;;
esac
"""


class Server:
    """Stands in for the session that holds the snapshot."""

    def __init__(self) -> None:
        self.tables = {"t": 2}
        self.cancelled = 0
        self.trouble: Path | None = None

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        self.cancelled += 1

    def connect(self, _url: object) -> Server:
        return self

    @contextlib.contextmanager
    def exported(self, _connection: object, choose: Any, _lock_timeout: int) -> Iterator[str]:
        choose()
        yield "00000003-1"

    def watch(self, _connection: object) -> None:
        if self.trouble:
            (self.trouble.parent / "pg_dump.sleep").unlink()
            raise Overtaken("another session wants to change a table that is about to be dumped")

    def sources(self, _connection: object, oids: list[int]) -> list[Source]:
        return [Source(("public", name)) for name, _oid in zip(self.tables, oids)]

    def count(self, _connection: object, tables: list[Table], hashed: bool) -> tuple[Table, ...]:
        return tuple(replace(table, rows=self.tables[table.name], hash="2a" * hashed) for table in tables)


def act(server: Server) -> list[tuple[object, str, Any]]:
    """What of the program a server answers, for us to answer in its place."""
    return [
        (_pg_backup, "connect", server.connect),
        (_pg_backup, "select", lambda *_: Selection(())),
        (_pg_backup, "database_size", lambda _connection: 1000),
        (_pg_draft, "select", lambda *_: Selection((), ("public.p*", '"public"."part"'), ('"public"."log"',))),
        (_pg_draft, "exported", server.exported),
        (_pg_draft, "sources", server.sources),
        (_pg_draft, "count", server.count),
        (_pg_draft, "release", lambda _connection: None),
        (_pg_draft, "watch", server.watch),
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    for module, name, stand_in in act(server):
        monkeypatch.setattr(module, name, stand_in)
    return server


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    folder = tmp_path / "clients/15/bin"
    folder.mkdir(parents=True)
    for tool in ("psql", "pg_dump", "pg_dumpall", "pg_restore"):
        (folder / tool).write_text(CLIENT)
        (folder / tool).chmod(0o755)
    (folder / "content").write_text("a whole dump\n")
    (folder / "listing").write_text(TABLE)
    (folder / "copy").write_text(COPY)
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
    assert manifest.tables == (Table("public", "t", 2),) and manifest.size == len("a whole dump\n") + len(
        "CREATE ROLE u;\n"
    )
    assert manifest.system_identifier == "7710430667055238292" and manifest.server_version == "15.18"
    assert manifest.seconds.keys() == {"dump", "globals", "decode", "count", "sha256"}
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
        ("copy", COPY.replace("1\n", ""), "public.t has 1 rows in it, but 2 in the database"),
        ("copy", COPY[:-3], "ends in the middle of public.t"),
        ("copy", "\n", "public.t is not in the dump"),
        ("listing", "; nothing", "public.t is not in the database"),
    ],
)
def test_a_failure_keeps_what_was_there_and_nothing_else(
    clients: Path, root: str, name: str, content: str, words: str
) -> None:
    good = take(root, "ledger", URL, Options())
    whole = {file.name: file.read_text() for file in clients.iterdir()}
    (clients / name).write_text(content)
    with pytest.raises(BackupError, match=words) as caught:
        take(root, "ledger", URL, Options())
    assert SECRET not in str(caught.value)
    assert visible(root) == [good.id]
    (clients / name).write_text(whole[name]) if name in whole else (clients / name).unlink()
    assert take(root, "ledger", URL, Options()).id > good.id


def test_a_session_that_ends_while_it_counts_fails_the_backup(
    clients: Path, root: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_arguments: object) -> None:
        raise BackupError("public.t cannot be counted: terminating connection.")

    monkeypatch.setattr(_pg_draft, "count", ended)
    with pytest.raises(BackupError, match=r"public\.t cannot be counted: terminating connection\."):
        take(root, "ledger", URL, Options())
    assert visible(root) == []


@pytest.mark.parametrize(("module", "step"), [(_pg_draft, "fingerprint"), (_pg_backup, "write_atomically")])
def test_a_disk_that_is_full_at_any_step_keeps_what_was_there(
    clients: Path, root: str, monkeypatch: pytest.MonkeyPatch, module: object, step: str
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    good = take(root, "ledger", URL, Options())
    monkeypatch.setattr(module, step, full)
    with pytest.raises(BackupError, match=rf"The backup of ledger in {root}/ledger failed: No space left on device\."):
        take(root, "ledger", URL, Options())
    assert visible(root) == [good.id]


def test_a_dump_that_was_overtaken_begins_again(clients: Path, root: str, server: Server) -> None:
    (clients / "pg_dump.sleep").write_text("")
    server.trouble = clients / "pid"
    said: list[str] = []
    manifest = take(root, "ledger", URL, Options(), said.append)
    assert manifest.rows == 2 and visible(root) == [manifest.id]
    assert len([line for line in said if "it goes first" in line]) == 1
    wait_for_death(int(server.trouble.read_text()))


def test_a_dump_that_does_not_decode_ends_the_count(clients: Path, root: str, server: Server) -> None:
    (clients / "content").write_text("cut")
    with pytest.raises(BackupError):
        take(root, "ledger", URL, Options())
    assert server.cancelled == 1


def test_patterns_and_hashes_are_told(clients: Path, root: str) -> None:
    manifest = take(root, "ledger", URL, Options(include=("public.p*",), exclude=("log",), hashed=True))
    called = (clients / "calls").read_text()
    for argument in (
        "--table=public.p*",
        '--table="public"."part"',
        '--exclude-table="public"."log"',
        "--strict-names",
    ):
        assert argument in called
    assert (manifest.include, manifest.exclude, manifest.partial) == (("public.p*",), ("log",), True)
    assert manifest.tables[0].hash == "000000000000002a"


def full(clients: Path, server: Server, rows: int) -> None:
    server.tables = {"t": rows} if rows >= 0 else {}
    (clients / "listing").write_text(TABLE if rows >= 0 else "; nothing\n")
    data = "".join(f"{row}\n" for row in range(rows))
    (clients / "copy").write_text(f"\nCOPY public.t (a) FROM stdin;\n{data}\\.\n" if rows >= 0 else "\n")


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (0, Options(), "the database holds no row now, but 10 in backup"),
        (-1, Options(), "the database holds no table now, but 1 in backup"),
        (4, Options(), "it has 4 rows, less than 50 % of the 10 in backup"),
        (9, Options(shrink_percent=100), "it has 9 rows, less than 100 %"),
    ],
)
def test_a_backup_that_lost_much_is_kept_apart(
    clients: Path, root: str, server: Server, rows: int, options: Options, words: str
) -> None:
    full(clients, server, 10)
    good = take(root, "ledger", URL, Options())
    full(clients, server, rows)
    with pytest.raises(Quarantined, match=words) as caught:
        take(root, "ledger", URL, options)
    kept = caught.value.manifest
    assert f"quayside-backup accept ledger {kept.id}" in str(caught.value)
    assert visible(root) == [good.id, kept.id]
    found = load(root, "ledger")[-1]
    assert not found.verified and words in found.problem
    # The one before stays what the next is compared with, and nothing goes while nobody has looked.
    with pytest.raises(Quarantined, match=good.id):
        take(root, "ledger", URL, options)
    assert "is in quarantine" in rotate(root, "ledger", Keep(1, 0, 0, 0), 1).frozen
    assert accept(root, "ledger", kept.id).verified
    with pytest.raises(BackupError, match="is not in quarantine"):
        accept(root, "ledger", kept.id)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (5, Options()),
        (4, Options(shrink_percent=0)),
        (-1, Options(allow_empty=True)),
        (0, Options(include=("t",))),
    ],
)
def test_a_backup_that_lost_little_or_on_purpose_counts(
    clients: Path, root: str, server: Server, rows: int, options: Options
) -> None:
    full(clients, server, 10)
    take(root, "ledger", URL, Options())
    full(clients, server, rows)
    assert take(root, "ledger", URL, options).verified_at


def test_another_cluster(clients: Path, root: str) -> None:
    take(root, "ledger", URL, Options())
    (clients / "psql").write_text(CLIENT.replace("7710430667055238292", "7000000000000000001"))
    with pytest.raises(BackupError, match=r"The server is the cluster 7000000000000000001, but backup .* \(h:5433\)"):
        take(root, "ledger", URL, Options())
    assert len(visible(root)) == 1
    take(root, "ledger", URL, Options(allow_other_cluster=True))
    take(root, "ledger", URL, Options())


@pytest.mark.parametrize(
    ("relation", "words"),
    [
        (Relation(1, "public", "t", "r", False, False, True), r"The role u may not read public\.t"),
        (Relation(1, "public", "t", "r", True, True, True), r"Row-level security may hide rows of public\.t"),
    ],
    ids=["denied", "limited"],
)
def test_what_cannot_be_read_whole_is_not_begun(
    clients: Path, root: str, monkeypatch: pytest.MonkeyPatch, relation: Relation, words: str
) -> None:
    monkeypatch.setattr(_pg_backup, "select", lambda *_: Selection((relation,)))
    with pytest.raises(BackupError, match=words):
        take(root, "ledger", URL, Options())
    assert not Path(root).exists()


def test_a_disk_that_is_too_small_is_left_alone(clients: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pg_backup, "free_bytes", lambda _folder: 199)
    with pytest.raises(BackupError, match=r"199 B free, but 200 B are needed \(by the size of the database\)"):
        take(root, "ledger", URL, Options())
    assert not Path(root).exists()
    monkeypatch.undo()


def test_a_plain_dump_is_tried_before_it_is_sealed(clients: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[object] = []

    def seal(path: Path, recipients: tuple[str, ...]) -> Path:
        return path.rename(path.with_name(path.name + SEALED))

    def prove(dump: Path, manifest: Manifest) -> Proof:
        assert dump.read_text() == "a whole dump\n" and manifest.rows == 2 and ready
        return Proof("2026-11-21T03:00:00Z", 1.5, "15", 1, 2)

    monkeypatch.setattr(_pg_backup, "check_ready", ready.append)
    monkeypatch.setattr(_pg_draft, "seal", seal)
    manifest = take(root, "ledger", URL, Options(recipients=("age1x",)), prove=prove)
    (backup,) = load(root, "ledger")
    assert backup.proven and manifest.encrypted and "drill" in manifest.seconds and "encrypt" in manifest.seconds
    assert [file.name for file in manifest.files] == [DUMP + SEALED, GLOBALS + SEALED]
    assert manifest.sha256 and verify(root, "ledger", manifest.id).verified


def test_what_cannot_be_encrypted_is_not_dumped(clients: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_recipients: object) -> None:
        raise BackupError("The program age is not installed; install the package age.")

    monkeypatch.setattr(_pg_backup, "check_ready", refuse)
    with pytest.raises(BackupError, match="age is not installed"):
        take(root, "ledger", URL, Options(recipients=("age1x",)))
    assert not Path(root).exists() and not (clients / "calls").exists()


def test_a_drill_that_fails_is_told_and_loses_no_backup(clients: Path, root: str) -> None:
    def prove(_dump: Path, _manifest: Manifest) -> Proof:
        raise BackupError("no server.")

    take(root, "ledger", URL, Options(), prove=prove)
    (backup,) = load(root, "ledger")
    assert backup.verified and not backup.proven
    assert backup.manifest and backup.manifest.proof and backup.manifest.proof.problem == "no server."


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
        "import signal, sys; from pathlib import Path; import test__pg_backup as t\n"
        "from ansible_collections.quayside.web.plugins.module_utils import _database_url as u\n"
        "from ansible_collections.quayside.web.plugins.module_utils import _pg_backup as b, _pg_programs as p\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "[setattr(*stand_in) for stand_in in t.act(t.Server())]\n"
        f"p.CLIENTS = Path({str(clients.parent.parent)!r})\n"
        f"b.take({root!r}, 'ledger', u.parse('postgresql://u@h/d'), b.Options())\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parent)])},
    )
    deadline = time.monotonic() + 20
    while not (clients / "pid").exists() or not (clients / "pid").read_text().strip():
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


def test_rows_that_the_manifest_does_not_know_are_found(clients: Path, root: str) -> None:
    manifest = take(root, "ledger", URL, Options())
    (clients / "copy").write_text(COPY.replace("1\n", ""))
    assert "its rows are not those" in verify(root, "ledger", manifest.id).problem


@pytest.fixture
def encrypted(clients: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a backup whose files only pretend to be encrypted; the file key opens them."""

    def seal(path: Path, _recipients: object) -> Path:
        return path.rename(path.with_name(path.name + SEALED))

    def unseal(path: Path, identity: Path, into: Path) -> Path:
        if identity.name != "key":
            raise BackupError("This identity is not one of the keys that the backup is encrypted to.")
        return Path(shutil.copy(path, into / DUMP))

    monkeypatch.setattr(_pg_backup, "check_ready", lambda _recipients: None)
    monkeypatch.setattr(_pg_draft, "seal", seal)
    monkeypatch.setattr(_pg_verify, "unseal", unseal)
    return Path(root) / "ledger" / take(root, "ledger", URL, Options(recipients=("age1x",))).id


def test_an_encrypted_backup_is_verified_as_far_as_it_can_be(encrypted: Path, clients: Path, root: str) -> None:
    decodes = (clients / "calls").read_text().count("--data-only")
    assert verify(root, "ledger", encrypted.name).verified
    assert (clients / "calls").read_text().count("--data-only") == decodes
    assert verify(root, "ledger", encrypted.name, identity=Path("key")).verified
    assert (clients / "calls").read_text().count("--data-only") == decodes + 1
    assert visible(root) == [encrypted.name]


def test_a_wrong_identity_is_no_damage(encrypted: Path, root: str) -> None:
    with pytest.raises(BackupError, match="not one of the keys"):
        verify(root, "ledger", encrypted.name, identity=Path("other"))
    assert load(root, "ledger")[0].verified and visible(root) == [encrypted.name]


def test_an_encrypted_backup_that_was_altered_is_found_without_its_key(encrypted: Path, root: str) -> None:
    (encrypted / (DUMP + SEALED)).write_text("b whole dump\n")
    assert "size or sha256 differ" in verify(root, "ledger", encrypted.name, identity=Path("other")).problem


def test_a_host_without_client_marks_no_backup_damaged(clients: Path, root: str, tmp_path: Path) -> None:
    manifest = take(root, "ledger", URL, Options())
    clients.parent.rename(tmp_path / "gone")
    with pytest.raises(BackupError, match="install the package postgresql-client-15"):
        verify(root, "ledger", manifest.id)
    assert load(root, "ledger")[0].verified


@pytest.mark.parametrize("backup_id", ["20200101T000000Z", "../ledger", "latest"])
def test_an_unknown_backup_is_refused_with_those_there_are(clients: Path, root: str, backup_id: str) -> None:
    manifest = take(root, "ledger", URL, Options())
    for call in (verify, accept):
        with pytest.raises(BackupError, match=f"there are: {manifest.id}"):
            call(root, "ledger", backup_id)


def test_a_sound_backup_stays_verified(clients: Path, root: str) -> None:
    assert verify(root, "ledger", take(root, "ledger", URL, Options()).id).verified


def test_rotation_applies_its_plan(clients: Path, root: str) -> None:
    ids = [take(root, "ledger", URL, Options()).id for _time in range(4)]
    decided = rotate(root, "ledger", Keep(1, 0, 0, 0), 2)
    assert decided.removed == (ids[1], ids[0])
    assert visible(root) == ids[2:]
