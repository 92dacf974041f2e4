# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._backup_metrics import Facts
from ansible_collections.quayside.web.plugins.module_utils._backup_status import LastRun, Status
from ansible_collections.quayside.web.plugins.module_utils._pg_cli_output import (
    Progress,
    age_of,
    describe,
    drafts_size,
    judge_facts,
    list_row,
    print_table,
    rotation_rows,
    size,
    state,
    status_row,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    Backup,
    Copy,
    DumpFile,
    Manifest,
    Proof,
    Table,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Kept, Plan

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
PROOF = Proof("2026-11-21T04:30:00Z", 40.4, "17.2", 1, 7)
FAILED = LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:09Z", error="no route to host.")


def backup(hour: int = 3, problem: str = "", **more: Any) -> Backup:
    manifest = Manifest(
        id=f"20261121T{hour:02}0000Z",
        name="ledger",
        created_at=f"2026-11-21T{hour:02}:00:00Z",
        database="ledger",
        host="h",
        port=5432,
        server_version="17.2",
        client_version=17,
        compression="zstd:3",
        tables=(Table("public", "entry", 7),),
        files=(DumpFile("dump.pgc", 1500, "0" * 64),),
        verified_at="2026-11-21T03:00:05Z",
    )
    return Backup(manifest.id, replace(manifest, **more), problem)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (backup(), "verified"),
        (backup(recipients=("age1x",), include=("a",)), "verified (encrypted, partial)"),
        (backup(proof=PROOF), "PROVEN 2026-11-21T04:30:00Z in 40 s"),
        (
            backup(proof=replace(PROOF, problem="a row is gone")),
            "verified, but the drill of 2026-11-21T04:30:00Z FAILED: a row is gone",
        ),
        (backup(quarantine="it is small", problem="in quarantine: it is small"), "QUARANTINED: it is small"),
        (backup(proof=PROOF, problem="dump.pgc is missing"), "NOT VERIFIED: dump.pgc is missing"),
        (Backup("20261121T030000Z", problem="its manifest is missing"), "NOT VERIFIED: its manifest is missing"),
    ],
    ids=["verified", "words", "proven", "failed drill", "quarantine", "damaged since", "no manifest"],
)
def test_states(found: Backup, shown: str) -> None:
    assert state(found) == shown


def test_a_row() -> None:
    copies = (Copy("bucket", "s3://b", "x"), Copy("nas", "/n", "", problem="down"))
    assert list_row("ledger", backup(copies=copies), NOW) == (
        *("ledger", "20261121T030000Z", "9 h", "1.5 kB", "7"),
        *("bucket ok, nas FAILED", "verified"),
    )
    assert list_row("ledger", Backup("20261121T030000Z", problem="x"), NOW)[3:6] == ("?", "?", "-")


def test_a_description_is_complete_without_a_manifest_too() -> None:
    whole, bare = describe("ledger", backup(proof=PROOF), NOW), describe("ledger", Backup("20261121T030000Z"), NOW)
    assert list(whole) == list(bare)
    assert (whole["age_hours"], whole["proven"], whole["proof"]["seconds"]) == (9.0, True, 40.4)
    assert (bare["verified"], bare["proof"], bare["size"]) == (False, None, 0)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts("ledger", [backup()]), []),
        (Facts("ledger"), ["there is no verified backup"]),
        (
            Facts("ledger", [backup()], period=3600),
            ["the last verified backup is 9 h old, and one is due every 60 min"],
        ),
        (Facts("ledger", [backup()], period=5 * 3600), []),
        (Facts("ledger", [backup()], Status(run=FAILED)), ["the last backup failed: no route to host"]),
        (Facts("ledger", [backup()], Status(drill=FAILED)), ["the last drill failed: no route to host"]),
        (Facts("ledger", [backup()], targets=["nas"]), ["20261121T030000Z has no copy at nas"]),
        (Facts("ledger", [backup(copies=(Copy("nas", "/n", "x"),))], targets=["nas"]), []),
        (
            Facts("ledger", [backup(3), backup(4, "in quarantine: small", quarantine="small")]),
            ["in quarantine: 20261121T040000Z; look at it, then quayside-backup accept"],
        ),
    ],
    ids=["fine", "none", "late", "not twice as late", "failed", "drill", "no copy", "copied", "quarantine"],
)
def test_what_someone_has_to_look_at(facts: Facts, words: list[str]) -> None:
    assert judge_facts(facts, True, NOW) == words


def test_one_failure_is_told_once() -> None:
    run = replace(FAILED, error="Backup 20261121T040000Z is in quarantine.")
    small = backup(4, "in quarantine: small", quarantine="small")
    facts = Facts("ledger", [backup(3), small], Status(run=run), targets=["nas"])
    assert judge_facts(facts, True, NOW) == ["the last backup failed: Backup 20261121T040000Z is in quarantine"]


def test_a_status_row() -> None:
    facts = Facts("ledger", [backup(3, proof=PROOF), backup(4)], Status(run=FAILED))
    row = status_row(facts, ["x"], NOW)
    assert row == ("ledger", "8 h ago", "9 h ago", "failed 9 h ago", "PROBLEM: x")
    assert status_row(Facts("shop"), [], NOW) == ("shop", "never", "never", "-", "ok")


def test_what_goes_and_why_the_others_stay() -> None:
    decided = Plan((Kept("20261121T030000Z", ("newest", "day 2026-11-21")),), ("20261101T030000Z",))
    assert rotation_rows(decided)[1:] == [
        ("20261121T030000Z", "stays", "newest, day 2026-11-21"),
        ("20261101T030000Z", "GOES", "no rule keeps it"),
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(59, "0 min"), (7199, "119 min"), (7200, "2 h"), (172799, "47 h"), (172800, "2 d")]
)
def test_ages(seconds: int, shown: str) -> None:
    assert age_of(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000_000, "2.5 GB"), (3 * 10**15, "3000.0 TB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert size(count) == shown


def test_a_table_has_no_blanks_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("NAME", "STATE"), ("a-long-name", "ok")])
    assert capsys.readouterr().out == "NAME         STATE\na-long-name  ok\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_line_replaces_the_growing_size(tmp_path: Path) -> None:
    stream = _Terminal()
    progress = Progress(str(tmp_path), stream)
    progress.shown = True
    progress.log("ledger: verifying")
    assert stream.getvalue() == "\r\x1b[Kledger: verifying\n" and not progress.shown


def test_nothing_but_lines_where_nobody_looks(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress(str(tmp_path), stream)
    with progress.watching():
        progress.log("ledger: dumping")
    assert stream.getvalue() == "ledger: dumping\n"


def test_the_size_of_what_is_being_written(tmp_path: Path) -> None:
    for folder, length in ((".tmp-20261121T030000Z", 5), ("20261120T030000Z", 7)):
        (tmp_path / "ledger" / folder).mkdir(parents=True)
        (tmp_path / "ledger" / folder / "dump.pgc").write_bytes(b"x" * length)
    assert drafts_size(tmp_path) == 5


def test_the_clock_is_passed_in() -> None:
    late = NOW + timedelta(days=3)
    assert judge_facts(Facts("ledger", [backup()]), True, late)[0].startswith("the last verified backup is 3 d old")


class Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_log_that_is_full_stops_nothing(tmp_path: Path) -> None:
    Progress(str(tmp_path), Full()).log("shop: dumping")
