# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.quayside.web.plugins.module_utils._offsite import Target
from ansible_collections.quayside.web.plugins.module_utils._offsite_plan import (
    ABSENT,
    INCOMPLETE,
    judge_copy,
    pending,
    plan_copies,
    refusal,
    same_backup,
    same_origin,
    two_writers,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    Backup,
    BackupError,
    Copy,
    DumpFile,
    Manifest,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep

TARGET = Target("nas", "local", "/mnt/nas", "/mnt/nas", keep=Keep(1, 0, 0, 0), minimum=1)
FILES = (DumpFile("dump.pgc", 10, "aa"), DumpFile("globals.sql", 3, "bb"))
WHOLE = {"dump.pgc": 10, "globals.sql": 3, "manifest.json": 99}


def made(day: int, cluster: str = "7", copies: tuple[Copy, ...] = ()) -> Manifest:
    return Manifest(
        id=f"202611{day:02}T030000Z",
        name="app",
        created_at=f"2026-11-{day:02}T03:00:00Z",
        database="d",
        host="h",
        port=1,
        server_version="15",
        client_version=15,
        compression="none",
        system_identifier=cluster,
        files=FILES,
        verified_at="2026-11-30T03:00:00Z",
        copies=copies,
    )


def whole(day: int, cluster: str = "7") -> Backup:
    return Backup(made(day).id, made(day, cluster))


def half(day: int) -> Backup:
    return Backup(made(day).id, problem=INCOMPLETE)


ONE = made(1)


@pytest.mark.parametrize(
    ("manifest", "sizes", "problem"),
    [
        pytest.param(ONE, WHOLE, "", id="whole"),
        pytest.param(ONE, {}, ABSENT, id="not there"),
        pytest.param(None, {"dump.pgc": 10}, INCOMPLETE, id="killed before its manifest"),
        pytest.param(None, WHOLE, "cannot be read", id="manifest cut"),
        pytest.param(ONE, {**WHOLE, "dump.pgc": 9}, "dump.pgc has 9 bytes instead of 10", id="cut"),
        pytest.param(ONE, {"dump.pgc": 10, "manifest.json": 9}, "globals.sql is missing", id="file missing"),
        pytest.param(replace(ONE, name="other"), WHOLE, "belongs to 'other'", id="another's"),
        pytest.param(replace(ONE, files=FILES[1:]), WHOLE, "names no dump", id="no dump"),
        pytest.param(replace(ONE, quarantine="empty"), WHOLE, "in quarantine: empty", id="quarantine"),
        pytest.param(replace(ONE, damage="bent"), WHOLE, "bent", id="damage"),
        pytest.param(
            replace(ONE, files=(*FILES, DumpFile("../../etc/passwd", 1, "cc"))), WHOLE, "strange file", id="climbs"
        ),
        pytest.param(
            replace(ONE, files=(DumpFile("manifest.json", 99, "x"), *FILES)), WHOLE, "strange file", id="itself"
        ),
    ],
)
def test_a_copy_is_judged(manifest: Manifest | None, sizes: dict[str, int], problem: str) -> None:
    found = judge_copy("app", ONE.id, manifest, sizes)
    assert problem in found.problem
    assert found.verified == (not problem)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (ONE, ""),
        (replace(ONE, quarantine="empty"), "in quarantine (empty)"),
        (replace(ONE, damage="bent"), "damaged (bent)"),
        (replace(ONE, verified_at=""), "never verified"),
        (replace(ONE, files=()), "never verified"),
    ],
)
def test_only_what_can_be_trusted_is_copied(manifest: Manifest, said: str) -> None:
    assert said in refusal(manifest)
    assert bool(refusal(manifest)) == bool(said)


def test_what_was_found_later_makes_no_other_backup() -> None:
    later = replace(ONE, copies=(Copy("nas", "x", "y"),), notes=("n",))
    assert same_backup(ONE, later)
    assert not same_backup(ONE, replace(ONE, files=FILES[:1]))
    assert not same_origin(ONE, replace(ONE, system_identifier="8"))
    assert same_origin(ONE, replace(ONE, system_identifier=""))


GOOD = (Copy("nas", "p", "t"),)
BAD = (Copy("nas", "p", "t", problem="refused"), Copy("other", "p", "t"))


@pytest.mark.parametrize(
    ("manifests", "days"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param([made(1), made(2), made(3)], "3", id="a new target gets the newest"),
        pytest.param([made(1, copies=GOOD), made(2)], "2", id="the newest"),
        pytest.param(
            [made(1, copies=GOOD), made(2, copies=BAD), made(3)], "2 3", id="those of an outage, oldest first"
        ),
        pytest.param([made(1), made(2, copies=GOOD)], "", id="older ones are not made up for"),
    ],
)
def test_what_is_to_be_copied(manifests: list[Manifest], days: str) -> None:
    backups = [Backup(manifest.id, manifest) for manifest in reversed(manifests)]
    backups.append(Backup("20261129T030000Z", made(29), problem="damaged"))
    assert " ".join(str(int(manifest.id[6:8])) for manifest in pending(backups, TARGET)) == days


@pytest.mark.parametrize(
    ("copies", "removed"),
    [
        pytest.param([whole(1), whole(2), whole(3)], "2 1", id="whole ones"),
        pytest.param([half(1), whole(5)], "1", id="an old half"),
        pytest.param([half(3), whole(5)], "", id="a half that may be an upload"),
        pytest.param([half(6), whole(5)], "", id="a new half"),
        pytest.param([half(1)], "", id="no whole one"),
        pytest.param([Backup("20261101T030000Z", made(1), problem="bent"), whole(5)], "", id="a damaged one"),
    ],
)
def test_rotation_is_over_whole_copies(copies: list[Backup], removed: str) -> None:
    decided = plan_copies(copies, TARGET)
    assert " ".join(str(int(backup_id[6:8])) for backup_id in decided.removed) == removed
    assert {kept.id for kept in decided.kept} | set(decided.removed) == {copy.id for copy in copies}


@pytest.mark.parametrize(
    ("clusters", "two"),
    [("", False), ("aaa", False), ("aabb", False), ("abc", False), ("aba", True), ("abab", True), ("a-b-", False)],
)
def test_two_servers_in_one_place_are_noticed(clusters: str, two: bool) -> None:
    copies = [whole(day, cluster.replace("-", "")) for day, cluster in enumerate(clusters, 1)]
    assert two_writers(copies) == two


def test_a_new_cluster_does_not_push_out_the_last_copy_of_the_old_one() -> None:
    decided = plan_copies([whole(1, "a"), whole(2, "a"), whole(3, "b"), whole(4, "b")], TARGET)
    assert [backup_id[6:8] for backup_id in decided.removed] == ["03", "01"]
    assert decided.kept[-1].reasons == ("the last one of an earlier database cluster",)


def test_two_servers_do_not_push_each_other_out() -> None:
    with pytest.raises(BackupError, match="a prefix or path of its own"):
        plan_copies([whole(1, "a"), whole(2, "b"), whole(3, "a")], TARGET)
