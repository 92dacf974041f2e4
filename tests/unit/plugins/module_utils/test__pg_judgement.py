# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_judgement import (
    check_cluster,
    check_space,
    compare_rows,
    needed_space,
    newest_alike,
    reason_for_quarantine,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    Backup,
    BackupError,
    DumpFile,
    Manifest,
    Table,
)

OLD = Manifest(
    id="20261120T030000Z",
    name="ledger",
    created_at="2026-11-20T03:00:00Z",
    database="ledger",
    host="db",
    port=5432,
    server_version="15.8",
    client_version=15,
    compression="gzip:1",
    system_identifier="7001",
    tables=(Table("public", "t", 100),),
    files=(DumpFile(DUMP, 1000, "aa"),),
    verified_at="2026-11-20T03:01:00Z",
)
NEW = replace(OLD, id="20261121T030000Z")


def kept(manifest: Manifest, problem: str = "") -> Backup:
    return Backup(manifest.id, manifest, problem)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], None),
        ([kept(OLD), kept(NEW)], NEW),
        ([kept(OLD), kept(NEW, "it was cut")], OLD),
        ([kept(OLD), kept(replace(NEW, include=("t",)))], OLD),
        ([Backup("20261121T030000Z", problem="its manifest is missing")], None),
    ],
    ids=["none", "newest", "verified", "the same tables", "no manifest"],
)
def test_a_backup_is_compared_with_one_like_it(earlier: list[Backup], expected: Manifest | None) -> None:
    assert newest_alike(earlier, (), ()) == expected


@pytest.mark.parametrize(
    ("identifier", "earlier", "allowed"),
    [
        ("7002", [], False),
        ("7001", [kept(OLD)], False),
        ("", [kept(OLD)], False),
        ("7002", [kept(OLD)], True),
        ("7002", [kept(OLD), kept(replace(NEW, system_identifier="7002"))], False),
        ("7002", [kept(replace(OLD, system_identifier=""))], False),
    ],
    ids=["first", "same", "server hides it", "allowed", "moved before", "old one hid it"],
)
def test_a_cluster_that_may_be_dumped(identifier: str, earlier: list[Backup], allowed: bool) -> None:
    check_cluster(identifier, earlier, allowed)


@pytest.mark.parametrize("problem", ["", "it was cut"])
def test_a_cluster_that_may_not(problem: str) -> None:
    with pytest.raises(BackupError, match=r"is the cluster 7002, but backup 20261120T030000Z of ledger came from 7001"):
        check_cluster("7002", [kept(OLD, problem)], allowed=False)


@pytest.mark.parametrize(
    ("newest", "compressed", "partial", "encrypted", "expected"),
    [
        (OLD, True, False, False, 1200),
        (OLD, True, True, True, 2400),
        (None, True, False, False, 2000),
        (None, False, False, False, 8000),
        (None, True, False, True, 4000),
        (None, True, True, True, 0),
    ],
)
def test_needed_space(newest: Manifest | None, compressed: bool, partial: bool, encrypted: bool, expected: int) -> None:
    assert needed_space(newest, 10_000, compressed=compressed, partial=partial, encrypted=encrypted) == expected


def test_too_little_space_names_both_figures() -> None:
    check_space(1200, 1200, "/b", "why")
    with pytest.raises(BackupError, match=r"/b has 1\.2 GB free, but 2\.5 GB are needed \(the newest has 2 GB\)"):
        check_space(1_200_000_000, 2_500_000_000, "/b", "the newest has 2 GB")


def test_partitions_that_are_dumped_through_their_root() -> None:
    counted = [
        Table("s", "hp_0", 3, "ffffffffffffffff"),
        Table("s", "hp_1", 4, "0000000000000003"),
        Table("s", "p_0", 5, "0000000000000001"),
    ]
    roots = {("s", "hp_0"): ("s", "hp"), ("s", "hp_1"): ("s", "hp"), ("s", "p_0"): ("s", "p")}
    assert compare_rows(counted, roots, {("s", "hp"): 7, ("s", "p_0"): 5}) == (
        Table("s", "hp", 7, "0000000000000002"),
        Table("s", "p_0", 5, "0000000000000001"),
    )


@pytest.mark.parametrize(
    ("decoded", "words"),
    [
        ({("s", "t"): 2}, "s.t has 2 rows in it, but 3 in the database"),
        ({}, "s.t is not in the dump"),
        ({("s", "t"): 3, ("s", "u"): 0}, "s.u is not in the database"),
    ],
)
def test_a_dump_that_differs_from_its_source(decoded: dict[tuple[str, str], int], words: str) -> None:
    with pytest.raises(BackupError, match=words.replace(".", r"\.")):
        compare_rows([Table("s", "t", 3)], {}, decoded)


def loss(rows: int, size: int, **more: object) -> Manifest:
    tables = () if rows < 0 else (Table("public", "t", rows),)
    return replace(NEW, tables=tables, files=(DumpFile(DUMP, size, "bb"),), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "allow_empty", "percent", "words"),
    [
        (loss(100, 1000), False, 50, ""),
        (loss(50, 500), False, 50, ""),
        (loss(49, 1000), False, 50, "49 rows, less than 50 % of the 100"),
        (loss(100, 499), False, 50, "499 B, less than 50 % of the 1.0 kB"),
        (loss(100, 499, compression="zstd:3"), False, 50, ""),
        (loss(0, 1000), False, 0, "no row now, but 100"),
        (loss(-1, 1000), False, 0, "no table now, but 1"),
        (loss(-1, 100), True, 50, ""),
        (loss(0, 100), True, 50, "no row now"),
        (loss(1, 1), False, 0, ""),
    ],
)
def test_quarantine(new: Manifest, allow_empty: bool, percent: int, words: str) -> None:
    reason = reason_for_quarantine(new, OLD, allow_empty=allow_empty, percent=percent)
    assert words in reason and bool(reason) is bool(words)


def test_a_first_backup_and_one_after_a_format_without_rows_are_accepted() -> None:
    assert not reason_for_quarantine(loss(-1, 10), None, allow_empty=False, percent=50)
    uncounted = replace(OLD, tables=(Table("", "", 0),))
    assert not reason_for_quarantine(loss(0, 1000), uncounted, allow_empty=False, percent=50)
