# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, Manifest, Proof
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep, check_minimum, parse_keep, plan

START = datetime(2026, 11, 21, 3, 0, tzinfo=timezone.utc)  # a Saturday


def backup(moment: datetime, problem: str = "", backup_id: str = "") -> Backup:
    backup_id = backup_id or moment.strftime("%Y%m%dT%H%M%SZ")
    created = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Backup(backup_id, Manifest(backup_id, "x", created, "d", "h", 1, "15", 15, "none"), problem)


def nightly(count: int) -> list[Backup]:
    return [backup(START - timedelta(days=day)) for day in range(count)]


def days(ids: tuple[str, ...]) -> list[str]:
    return [backup_id[4:8] for backup_id in ids]


@pytest.mark.parametrize(
    ("keep", "minimum", "expected"),
    [
        (Keep(3, 0, 0, 0), 1, ["1121", "1120", "1119"]),
        (Keep(1, 3, 0, 0), 1, ["1121", "1115", "1108"]),
        (Keep(0, 0, 3, 0), 1, ["1121", "1031", "0930"]),
        (Keep(0, 0, 0, 2), 1, ["1121", "1231"]),
        (Keep(0, 0, 0, 0), 1, ["1121"]),
        (Keep(0, 0, 0, 0), 4, ["1121", "1120", "1119", "1118"]),
        (Keep(2, 2, 2, 0), 1, ["1121", "1120", "1115", "1031"]),
    ],
)
def test_calendar(keep: Keep, minimum: int, expected: list[str]) -> None:
    decided = plan(nightly(400), keep, minimum)
    assert days(tuple(kept.id for kept in decided.kept)) == expected
    assert len(decided.kept) + len(decided.removed) == 400


def test_the_newest_that_is_proven_stays() -> None:
    backups = nightly(10)
    proofs = {8: Proof("2026-11-14T04:30:00Z", 1.0, "15", 1, 1), 9: Proof("2026-11-13T04:30:00Z", 1.0, "15", 1, 1)}
    proofs[5] = replace(proofs[8], problem="t has 6 rows instead of 7")
    for number, proof in proofs.items():
        manifest = backups[number].manifest
        backups[number] = replace(backups[number], manifest=manifest and replace(manifest, proof=proof))
    decided = plan(backups, Keep(daily=2, weekly=0, monthly=0), 1)
    assert {kept.id: kept.reasons for kept in decided.kept}[backups[8].id] == ("newest proven",)
    assert {backups[5].id, backups[9].id} <= set(decided.removed)


def test_the_newest_of_a_day_stays() -> None:
    backups = [backup(START + timedelta(hours=hour)) for hour in range(3)]
    assert [kept.id for kept in plan(backups, Keep(7, 0, 0, 0), 1).kept] == ["20261121T050000Z"]


def test_reasons_are_told() -> None:
    (kept,) = plan([backup(START)], Keep(), 3).kept
    assert kept.reasons == ("newest", "day 2026-11-21", "week 2026-W47", "month 2026-11")


def test_nothing_goes_by_age_alone() -> None:
    old = [backup(START - timedelta(days=1000 + day)) for day in range(3)]
    assert plan(old, Keep(7, 0, 0, 0), 1).removed == ()


def test_what_cannot_be_trusted_neither_counts_nor_goes() -> None:
    bad = [backup(START + timedelta(hours=hour), "it was cut") for hour in (1, 2)]
    good = nightly(3)
    decided = plan([*bad, *good], Keep(1, 0, 0, 0), 2)
    reasons = {kept.id: kept.reasons for kept in decided.kept}
    assert [reasons[backup.id] for backup in bad] == [("not verified: it was cut",)] * 2
    assert "newest" in reasons[good[0].id]
    assert decided.removed == (good[2].id,)


@pytest.mark.parametrize("year", [2025, 2027])
def test_a_clock_a_year_off_costs_no_good_backup(year: int) -> None:
    odd = backup(START.replace(year=year), backup_id="20271121T030000Z")
    after = [backup(START + timedelta(days=day), backup_id=f"20271121T03000{day}Z") for day in (1, 2, 3)]
    assert plan([odd, *after], Keep(3, 0, 0, 0), 1).removed == (odd.id,)


def quarantined(moment: datetime) -> Backup:
    odd = backup(moment, "in quarantine: it shrank")
    return replace(odd, manifest=replace(odd.manifest, quarantine="it shrank") if odd.manifest else None)


def test_a_newer_quarantine_freezes_everything() -> None:
    odd = quarantined(START + timedelta(days=1))
    decided = plan([odd, *nightly(3)], Keep(1, 0, 0, 0), 1)
    reasons = {kept.id: kept.reasons for kept in decided.kept}
    assert decided.removed == () and decided.frozen == f"{odd.id} is in quarantine"
    assert reasons["20261120T030000Z"] == (decided.frozen,)
    assert reasons[odd.id] == ("not verified: in quarantine: it shrank",)


def test_an_older_quarantine_stays_and_freezes_nothing() -> None:
    odd = quarantined(START - timedelta(days=1))
    decided = plan([odd, *nightly(1), backup(START - timedelta(days=2))], Keep(1, 0, 0, 0), 1)
    assert decided.removed == ("20261119T030000Z",) and not decided.frozen


def test_many_backups_are_planned_at_once() -> None:
    hourly = [backup(START - timedelta(hours=hour)) for hour in range(100_000)]
    started = time.process_time()
    decided = plan(hourly, Keep(7, 4, 12, 100), 3)
    assert time.process_time() - started < 1
    assert len(decided.kept) + len(decided.removed) == 100_000
    assert {kept.id[:4] for kept in decided.kept} == {str(year) for year in range(2015, 2027)}


def test_nothing_of_nothing() -> None:
    assert plan([], Keep(), 3).kept == ()


@pytest.mark.parametrize("minimum", [0, -1, True, "3"])
def test_bad_minimum(minimum: int) -> None:
    with pytest.raises(BackupError, match="minimum is"):
        check_minimum(minimum)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"daily": -1}, "keep.daily is '-1'"),
        ({"daily": "7"}, "keep.daily is '7'"),
        ({"daily": True}, "keep.daily"),
        ({"hourly": 3}, "unknown key 'hourly'"),
    ],
)
def test_bad_keep(value: Mapping[str, object], words: str) -> None:
    with pytest.raises(BackupError) as caught:
        parse_keep(value)
    assert words in str(caught.value)


def test_good_keep() -> None:
    assert parse_keep({"daily": 1, "yearly": 2}) == Keep(1, 4, 6, 2)
    assert parse_keep(None) == Keep()
