# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which backup is meant, and whether what was restored is what was dumped."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_facts import Live
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    Backup,
    BackupError,
    DumpFile,
    Manifest,
    Table,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import (
    Plan,
    Request,
    Result,
    choose,
    choose_jobs,
    choose_restore_client,
    chosen_tables,
    compare,
    estimate_size,
    major_of,
    read_time,
)

BERLIN = timezone(timedelta(hours=1))


def backup(day: int, problem: str = "", **more: Any) -> Backup:
    backup_id = f"202611{day:02d}T030000Z"
    created = f"2026-11-{day:02d}T03:00:00Z"
    manifest = Manifest(backup_id, "ledger", created, "ledger", "h", 5432, "15.8", 15, "none")
    return Backup(backup_id, replace(manifest, **more), problem)


SMALL = backup(19, "in quarantine: much smaller", quarantine="much smaller")
DAMAGED = backup(20, "dump.pgc has 1 bytes instead of 2")
ALL = [backup(17), backup(18), SMALL, DAMAGED, backup(21, include=("public.a",))]


@pytest.mark.parametrize(
    ("wanted", "day"),
    [
        pytest.param("latest", 18, id="latest-is-the-newest-trusted-whole-one"),
        pytest.param("20261117T030000Z", 17, id="id"),
        pytest.param(" 20261121T030000Z ", 21, id="a-partial-one-by-its-id"),
        pytest.param("2026-11-18T03:00Z", 18, id="the-very-second"),
        pytest.param("2026-11-18T02:59:59Z", 17, id="a-second-before"),
        pytest.param("2026-11-18 03:59", 17, id="local-time"),
        pytest.param("2026-11-18 04:00", 18, id="local-time-later"),
        pytest.param("2026-11-18T03:00+00:00", 18, id="with-a-zone"),
        pytest.param("2026-11-17", 17, id="a-day-means-its-end"),
        pytest.param("2027-01-01", 18, id="the-future-means-the-newest"),
    ],
)
def test_choosing(wanted: str, day: int) -> None:
    assert choose(ALL, wanted, zone=BERLIN).id == f"202611{day:02d}T030000Z"


@pytest.mark.parametrize(
    ("backups", "wanted", "message"),
    [
        pytest.param([], "latest", "There is no backup to restore", id="none"),
        pytest.param([SMALL], "latest", "No backup can be restored whole; .*much smaller", id="none-trusted"),
        pytest.param(ALL[4:], "latest", "it holds only some of the tables", id="only-a-partial-one"),
        pytest.param(
            ALL, "20261116T030000Z", "no backup 20261116.*nearest are 20261117T030000Z, 20261118", id="unknown"
        ),
        pytest.param(
            ALL, "2026-11-16", "from 2026-11-16T22:59:59Z or before; the first.*20261117T030000Z", id="too-early"
        ),
        pytest.param(
            ALL,
            "20261119T030000Z",
            "not to be trusted: in quarantine.*before it is 20261118.*force",
            id="in-quarantine",
        ),
        pytest.param(
            ALL, "20261120T030000Z", r"not to be trusted: dump.pgc has 1 bytes.*20261118T030000Z\.$", id="damaged"
        ),
        pytest.param(ALL, "yesterday", "'yesterday' is none of what is accepted: latest, an id", id="no-time"),
        pytest.param(ALL, "2026-13-40", "'2026-13-40' is none of what is accepted", id="impossible-time"),
        pytest.param(ALL, "", "'' is none of what is accepted", id="empty"),
    ],
)
def test_refusing(backups: list[Backup], wanted: str, message: str) -> None:
    with pytest.raises(BackupError, match=message):
        choose(backups, wanted, zone=BERLIN)


def test_force_lifts_a_quarantine_from_what_is_named_by_its_id() -> None:
    assert choose(ALL, SMALL.id, force=True) == SMALL
    assert choose(ALL, "latest", force=True).id == "20261118T030000Z"
    with pytest.raises(BackupError, match="not to be trusted"):
        choose(ALL, DAMAGED.id, force=True)
    torn = backup(19, "damaged", quarantine="much smaller", damage="a bit flipped")
    with pytest.raises(BackupError, match="not to be trusted"):
        choose([torn], torn.id, force=True)


def test_a_time_goes_by_the_clock_and_not_by_the_id() -> None:
    # The clock went back, so the id was pushed forward.
    pushed = Backup("20261122T000000Z", replace(ALL[0].manifest or Manifest("", "", "", "", "", 0, "", 0, "")))
    assert choose([pushed, backup(18)], "2026-11-17T12:00Z").id == pushed.id


def test_a_time_without_a_zone_is_the_hosts() -> None:
    assert read_time("2026-11-21T03:00") == datetime(2026, 11, 21, 3, 0).astimezone()


T, U = Table("public", "t", 3, "aa"), Table("s", "u", 0)


@pytest.mark.parametrize(
    ("counted", "problem"),
    [
        pytest.param([U, T], "", id="equal"),
        pytest.param([T], "s.u is missing", id="missing"),
        pytest.param([replace(T, rows=2), U], "public.t has 2 rows instead of 3", id="rows"),
        pytest.param([replace(T, hash="bb"), U], "public.t has other content", id="hash"),
        pytest.param([replace(T, hash=""), U], "", id="not-hashed"),
        pytest.param([T, U, Table("s", "more", 9)], "", id="more"),
        pytest.param([], "public.t is missing; s.u is missing", id="all"),
    ],
)
def test_comparing(counted: list[Table], problem: str) -> None:
    found = compare([T, U], counted)
    assert found.startswith(problem) if problem else found == ""


def test_many_differences_are_summed_up() -> None:
    tables = [Table("s", str(number), 1) for number in range(8)]
    assert compare(tables, []).endswith("s.4 is missing; and 3 more")


MANIFEST = Manifest("20261121T030000Z", "x", "2026-11-21T03:00:00Z", "d", "h", 1, "15", 15, "gzip:1", tables=(T, U))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param([], (T, U), id="all"),
        pytest.param(["s.u"], (U,), id="with-its-schema"),
        pytest.param(["u", "public.t"], (T, U), id="without"),
    ],
)
def test_chosen_tables(wanted: list[str], found: tuple[Table, ...]) -> None:
    assert chosen_tables(MANIFEST, wanted) == found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param("nope", "The backup has no table nope; it has public.t, s.u", id="unknown"),
        pytest.param("t", "The table t is in several schemas; write public.t", id="ambiguous"),
    ],
)
def test_tables_that_are_not_clear(wanted: str, message: str) -> None:
    tables = (T, U) if wanted == "nope" else (T, replace(T, schema="z"))
    with pytest.raises(BackupError, match=message):
        chosen_tables(replace(MANIFEST, tables=tables), [wanted])


@pytest.mark.parametrize(
    ("wanted", "processors", "free", "jobs", "warned"),
    [
        pytest.param(0, 2, 50, 2, False, id="one-a-processor"),
        pytest.param(0, 32, 50, 4, False, id="at-most-four"),
        pytest.param(8, 2, 50, 8, False, id="as-asked"),
        pytest.param(8, 2, 6, 3, True, id="few-connections"),
        pytest.param(0, 4, 3, 1, True, id="hardly-any"),
    ],
)
def test_jobs(wanted: int, processors: int, free: int, jobs: int, warned: bool) -> None:
    found, warning = choose_jobs(wanted, processors, free)
    assert (found, bool(warning)) == (jobs, warned)


def test_the_lowest_client_that_reads_the_dump() -> None:
    assert choose_restore_client([13, 15, 17], 14) == 15
    with pytest.raises(BackupError, match=r"pg_dump 17, and pg_restore here is 15.*postgresql-client-17"):
        choose_restore_client([13, 15], 17)
    with pytest.raises(BackupError, match="pg_restore here is missing"):
        choose_restore_client([], 17)


@pytest.mark.parametrize(
    ("version", "major"), [("15.8", 15), ("17.12 (Debian 17.12-0+deb13u1)", 17), ("18beta1", 0), ("", 0)], ids=repr
)
def test_majors(version: str, major: int) -> None:
    assert major_of(version) == major


def test_an_uncompressed_dump_tells_its_size_better() -> None:
    packed = replace(MANIFEST, files=(DumpFile("dump.pgc", 1000, ""),))
    assert estimate_size(packed) == 8000
    assert estimate_size(replace(packed, compression="none")) == 1500


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"keep_old_days": -1}, "keep_old_days is -1", id="negative-days"),
        pytest.param({"jobs": 65}, "jobs is 65", id="too-many-jobs"),
        pytest.param({"truncate": True}, "needs data_only", id="truncate-alone"),
        pytest.param({"data_only": True, "no_owner": True}, "with data_only nothing is created", id="owner-of-nothing"),
        pytest.param({"owner": "app"}, "it needs no_owner", id="owner-alone"),
    ],
)
def test_requests_that_contradict_themselves(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BackupError, match=message):
        Request(**given)


PLAN = Plan(MANIFEST, "d_restore_x", "d", "d_old_x", 2, 15, (T, U), Live("d", sessions=20))


def test_a_plan_shows_what_will_be_where() -> None:
    assert PLAN.diff() == {
        "before": "d: live, 20 sessions\n",
        "after": "d: backup 20261121T030000Z, 2 tables, 3 rows\nd_old_x: what was live\n",
    }
    beside = replace(PLAN, final="e", old="")
    assert beside.diff() == {"before": "", "after": "e: backup 20261121T030000Z, 2 tables, 3 rows\n"}
    assert (PLAN.to_dict()["old_database"], PLAN.to_dict()["sessions"]) == ("d_old_x", 20)


def test_a_result_sums_its_steps() -> None:
    done = Result("id", "d", 2, 3, {"restore": 1.5, "swap": 0.25}, warnings=("one",))
    assert (done.to_dict()["duration"], done.to_dict()["warnings"]) == (1.75, ["one"])
