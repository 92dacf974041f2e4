# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which databases are ours to drop, and how they are called."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_mark import (
    DRILL,
    OLD,
    RESTORE,
    UNDONE,
    Mark,
    Marked,
    expired,
    expiry,
    nameless,
    newest_old,
    read_mark,
    temporary_name,
)

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=timezone.utc)
MARK = Mark(OLD, "ledger", "ledger", "web1", "2026-11-21T03:00:00Z", "2026-11-28T03:00:00Z", 'say "hi"\n; DROP')


def test_a_mark_reads_as_it_was_written() -> None:
    assert read_mark(MARK.to_text()) == MARK


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "default administrative connection database",
        "quayside-backup: not json",
        "quayside-backup: [1]",
        'quayside-backup: {"kind": "old"}',
        MARK.to_text().replace("2026-11-28T03:00:00Z", "soon"),
    ],
    ids=["none", "foreign", "not-json", "a-list", "incomplete", "no-time"],
)
def test_what_is_not_quite_a_mark_is_none(comment: str) -> None:
    assert read_mark(comment) is None


@pytest.mark.parametrize(
    ("mark", "now", "goes"),
    [
        pytest.param(replace(MARK, kind=RESTORE, expires=""), NOW, True, id="leftover-of-a-restore"),
        pytest.param(replace(MARK, kind=DRILL, expires=""), None, True, id="leftover-of-a-drill"),
        pytest.param(MARK, NOW + timedelta(days=6), False, id="old-in-its-days"),
        pytest.param(MARK, NOW + timedelta(days=7), True, id="old-past-its-days"),
        pytest.param(MARK, None, False, id="old-without-a-time"),
        pytest.param(replace(MARK, kind=UNDONE), NOW + timedelta(days=8), True, id="undone-past-its-days"),
        pytest.param(replace(MARK, expires=""), NOW + timedelta(days=800), False, id="no-expiry"),
        pytest.param(replace(MARK, name="shop"), NOW + timedelta(days=8), False, id="of-another-name"),
        pytest.param(replace(MARK, kind="theirs"), None, False, id="unknown-kind"),
    ],
)
def test_only_what_is_ours_and_over_goes(mark: Mark, now: datetime | None, goes: bool) -> None:
    found = [Marked("x", mark.to_text()), Marked("ledger", ""), Marked("postgres", "default")]
    assert expired(found, "ledger", now) == (["x"] if goes else [])


def test_leftovers_without_a_comment_are_known_by_the_whole_name() -> None:
    names = ["ledger_restore_20261121t030000z", "ledger_drill_20261121t030000z_2", "ledger_restore", "ledger"]
    names += ["shop_restore_20261121t030000z", "ledger_old_20261121t030000z", "ledger_restore_20261121t030000z_x"]
    found = [Marked(name, "") for name in names] + [Marked("ledger_restore_20261122t030000z", "a person's")]
    assert nameless(found, "ledger") == names[:2]


def test_undo_brings_the_newest_back() -> None:
    early = replace(MARK, created="2026-11-20T03:00:00Z")
    found = [
        Marked("a", MARK.to_text()),
        Marked("b", early.to_text()),
        Marked("c", replace(MARK, kind=UNDONE).to_text()),
    ]
    found.append(Marked("d", replace(MARK, database="other", created="2026-11-22T03:00:00Z").to_text()))
    found.append(Marked("e", replace(MARK, name="other", created="2026-11-22T03:00:00Z").to_text()))
    assert newest_old(found, "ledger", "ledger") == ("a", MARK)
    newest = newest_old(found, "ledger", "")
    assert newest is not None and newest[0] == "d"
    assert newest_old([], "ledger", "") is None


@pytest.mark.parametrize(
    ("database", "taken", "name"),
    [
        pytest.param("ledger", [], "ledger_restore_20261121t030000z", id="plain"),
        pytest.param(
            "ledger", ["ledger_restore_20261121t030000z"], "ledger_restore_20261121t030000z_2", id="in-the-same-second"
        ),
        pytest.param("x" * 63, [], "x" * 38 + "_restore_20261121t030000z", id="long"),
        pytest.param("ü" * 31, [], "ü" * 19 + "_restore_20261121t030000z", id="long-in-bytes"),
    ],
)
def test_temporary_names_fit(database: str, taken: list[str], name: str) -> None:
    found = temporary_name(database, RESTORE, NOW, taken)
    assert found == name
    assert len(found.encode()) <= 63


def test_expiry_counts_days() -> None:
    assert expiry(NOW, 7) == "2026-11-28T03:00:00Z"
