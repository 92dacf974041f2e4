# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    BackupError,
    DumpFile,
    Manifest,
    Table,
    check_name,
    is_id,
    judge,
    new_id,
    read_manifest,
)

ID = "20261121T030000Z"
PROVEN = Manifest(
    id=ID,
    name="ledger",
    created_at="2026-11-21T03:00:00Z",
    database="ledger",
    host="db",
    port=5432,
    server_version="15.8",
    client_version=15,
    compression="gzip:1",
    tables=tuple(Table("public", f"t{n}", n) for n in range(12)),
    files=(DumpFile(DUMP, 100, "aa"), DumpFile("globals.sql", 10, "bb")),
    verified_at="2026-11-21T03:01:00Z",
    notes=("a note",),
)
SIZES = {DUMP: 100, "globals.sql": 10, "manifest.json": 5}


def changed(**values: object) -> Manifest:
    return Manifest(**{**PROVEN.__dict__, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ledger", "a", "a-b_c9"])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "Ledger", "9a", "../etc", "a/b", "a b", "a\n", "x" * 64, None, ".lock"])
def test_bad_names(name: str) -> None:
    with pytest.raises(BackupError, match="backup name"):
        check_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(ID, True), ("20261321T030000Z", False), (".tmp-" + ID, False), ("latest", False), (ID + "x", False)],
)
def test_is_id(text: str, expected: bool) -> None:
    assert is_id(text) is expected


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], "20261121T030000Z"),
        (["20261120T030000Z", "lost+found"], "20261121T030000Z"),
        (["20261121T030000Z"], "20261121T030001Z"),
        # The clock was a year ahead once: ids go on from there, so that order stays the order of the runs.
        (["20271121T030000Z", "20261120T030000Z"], "20271121T030001Z"),
        (["20261231T235959Z"], "20270101T000000Z"),
    ],
)
def test_ids_only_grow(existing: list[str], expected: str) -> None:
    assert new_id(datetime(2026, 11, 21, 3, 0, 0, 999, tzinfo=timezone.utc), existing) == expected


def test_manifest_survives_a_round_trip() -> None:
    assert read_manifest(PROVEN.to_json(), ID) == PROVEN


def test_a_later_program_may_add_keys() -> None:
    data = json.loads(PROVEN.to_json()) | {"counts": {"public.t": 3}}
    assert read_manifest(json.dumps(data), ID) == PROVEN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "no format"),
        ('{"format": "1"}', "no format"),
        ('{"format": 2}', "newer"),
        ('{"format": 1}', "lacks"),
        ('{"format": 1, "files": [{"name": "x"}]}', "lacks"),
        (changed(created_at="yesterday").to_json(), "lacks"),
        (changed(created_at="2026-11-31T03:00:00Z").to_json(), "lacks"),
        (changed(created_at="20261121T030000Z").to_json(), "lacks"),
        (changed(id="20261120T030000Z").to_json(), "belongs to 20261120T030000Z"),
    ],
)
def test_worthless_manifests(text: str, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        read_manifest(text, ID)


@pytest.mark.parametrize(
    ("manifest", "sizes", "problem"),
    [
        (PROVEN, SIZES, ""),
        (changed(verified_at=""), SIZES, "never verified"),
        (changed(damage="it does not decode"), SIZES, "does not decode"),
        (changed(files=()), SIZES, "names no dump"),
        (changed(quarantine="it shrank"), SIZES, "in quarantine: it shrank"),
        (PROVEN, {**SIZES, DUMP: 99}, "99 bytes instead of 100"),
        (PROVEN, {DUMP: 100}, "globals.sql is missing"),
    ],
)
def test_trust(manifest: Manifest, sizes: dict[str, int], problem: str) -> None:
    backup = judge(ID, manifest, sizes)
    assert problem in backup.problem
    assert backup.verified is (not problem)
