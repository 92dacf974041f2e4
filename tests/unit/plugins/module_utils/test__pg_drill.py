# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a drill writes into a manifest, and what it leaves as it was. The restore itself is the scenario's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_drill
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.quayside.web.plugins.module_utils._pg_drill import drill, prove_file
from ansible_collections.quayside.web.plugins.module_utils._pg_facts import Target
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    MANIFEST,
    BackupError,
    DumpFile,
    Manifest,
    Proof,
    Table,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Plan
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Logins
from ansible_collections.quayside.web.plugins.module_utils._pg_store import find

LOGINS = Logins(DatabaseUrl("h", 5432, "admin", "", "postgres", {}), DatabaseUrl("h", 5432, "app", "", "d", {}))
CONTENT = b"PGDMP"
EARLIER = Proof("2026-11-14T04:30:00Z", 20.0, "15.7", 2, 3)
GOOD = Manifest(
    "20261121T030000Z",
    "ledger",
    "2026-11-21T03:00:00Z",
    "ledger",
    "h",
    5432,
    "15.8",
    15,
    "none",
    tables=(Table("public", "t", 3, "aa"), Table("public", "u", 0, "00")),
    files=(DumpFile(DUMP, len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),),
    verified_at="2026-11-21T03:00:01Z",
    proof=EARLIER,
)


class Bench:
    """A repository on disk, and a server that is only told about."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.folder = root / "ledger" / GOOD.id
        self.folder.mkdir(parents=True)
        self.write(GOOD)
        (self.folder / DUMP).write_bytes(CONTENT)
        self.refusal, self.failure = "", ""
        self.compared: list[str] = []
        for name in ("prepare", "built", "maintenance"):
            monkeypatch.setattr(_pg_drill, name, getattr(self, name))
        monkeypatch.setattr(_pg_drill, "read_sql", lambda *_: "")
        monkeypatch.setattr(_pg_drill, "installed_clients", lambda: [15])
        monkeypatch.setattr(_pg_drill, "take_lock", lambda *_: None)
        monkeypatch.setattr(_pg_drill, "sweep_locked", lambda *_: [])

    def write(self, manifest: Manifest) -> None:
        (self.folder / MANIFEST).write_text(manifest.to_json())

    @contextmanager
    def maintenance(self, _admin: DatabaseUrl) -> Iterator[None]:
        yield

    def prepare(self, _session: Any, _logins: Logins, manifest: Manifest, *_: Any) -> tuple[Plan, Target]:
        if self.refusal:
            raise BackupError(self.refusal)
        return Plan(manifest, "ledger_drill_x", "ledger", "", 2, 15, manifest.tables), Target("15.8", 15, "a", "p")

    @contextmanager
    def built(self, job: Any, _kind: str) -> Iterator[None]:
        self.compared = [table.hash for table in job.tables]
        if self.failure:
            raise BackupError(self.failure)
        yield

    def drill(self, **more: Any) -> Proof:
        return drill(str(self.root), "ledger", "latest", LOGINS, **more)

    @property
    def kept(self) -> Proof | None:
        manifest = find(str(self.root), "ledger", GOOD.id).manifest
        return manifest.proof if manifest else None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize(("hashed", "compared"), [(True, ["aa", "00"]), (False, ["", ""])], ids=["hashed", "counted"])
def test_a_proof_is_kept(bench: Bench, hashed: bool, compared: list[str]) -> None:
    proof = bench.drill(hashed=hashed)
    assert bench.kept == proof
    assert (proof.tables, proof.rows, proof.server_version, proof.problem) == (2, 3, "15.8", "")
    assert (proof.hashed, bench.compared) == (hashed, compared)


def test_a_failure_is_kept_too(bench: Bench) -> None:
    bench.failure = "public.t has 2 rows instead of 3."
    proof = bench.drill()
    assert bench.kept == proof and proof.problem == "public.t has 2 rows instead of 3"
    assert not find(str(bench.root), "ledger", GOOD.id).proven


def test_what_keeps_a_drill_from_beginning_disproves_nothing(bench: Bench) -> None:
    bench.refusal = "The role admin may not create databases."
    with pytest.raises(BackupError, match="may not create databases"):
        bench.drill()
    assert bench.kept == EARLIER


def test_a_flipped_bit_is_a_failure(bench: Bench) -> None:
    (bench.folder / DUMP).write_bytes(b"PGDMQ")
    proof = bench.drill()
    assert bench.kept == proof and "is not the file that was proven" in proof.problem


def test_an_encrypted_backup_says_how_it_can_be_proven(bench: Bench) -> None:
    bench.write(replace(GOOD, recipients=("age1x",)))
    with pytest.raises(BackupError, match="pass the identity, or let 'quayside-backup run ledger --drill'"):
        bench.drill()
    assert bench.kept == EARLIER


def test_a_wrong_key_disproves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Path:
        raise BackupError("This identity is not one of the keys.")

    monkeypatch.setattr(_pg_drill, "plain_dump", refuse)
    with pytest.raises(BackupError, match="not one of the keys"):
        bench.drill()
    assert bench.kept == EARLIER


def test_a_dump_is_proven_before_it_has_a_name(bench: Bench, tmp_path: Path) -> None:
    proof = prove_file(tmp_path / "draft" / DUMP, replace(GOOD, verified_at="", proof=None), LOGINS)
    assert proof.problem == "" and proof.rows == 3
    assert bench.kept == EARLIER
