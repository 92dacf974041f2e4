# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which backups stay and which go: by calendar day, week, month and year (UTC), over verified backups only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache

from ._pg_repository import Backup, BackupError


@dataclass(frozen=True)
class Keep:
    """How many calendar days, weeks, months and years keep their newest backup; only periods with a backup count."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 6
    yearly: int = 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Kept:
    """A backup that stays, and why."""

    id: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a rotation does; kept and removed together are all backups, newest first. frozen says why nothing goes."""

    kept: tuple[Kept, ...]
    removed: tuple[str, ...]
    frozen: str = ""


_PERIODS = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


def parse_keep(value: Mapping[str, object] | None) -> Keep:
    """Read {daily: 7, weekly: 4, monthly: 6, yearly: 0}, each optional."""
    given = dict(value or {})
    for key, count in given.items():
        if key not in _PERIODS:
            raise BackupError(f"keep has the unknown key {str(key)[:30]!r}; {', '.join(_PERIODS)} are accepted.")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise BackupError(f"keep.{key} is {str(count)[:30]!r}; a whole number from 0 up is accepted.")
    return Keep(**given)  # type: ignore[arg-type]


def check_minimum(minimum: int) -> int:
    if not isinstance(minimum, int) or isinstance(minimum, bool) or minimum < 1:
        raise BackupError(
            f"minimum is {str(minimum)[:30]!r}; a whole number from 1 up is accepted: the newest backup always stays."
        )
    return minimum


def plan(backups: Iterable[Backup], keep: Keep, minimum: int) -> Plan:
    """Decide, newest first by id. What can't be trusted neither counts nor goes: a person has to look at it."""
    check_minimum(minimum)
    ordered = sorted(backups, key=lambda backup: backup.id, reverse=True)
    verified = [backup for backup in ordered if backup.verified]
    reasons: dict[str, list[str]] = {backup.id: [] for backup in ordered}
    for backup in verified[:1]:
        reasons[backup.id].append("newest")
    # The last one that is known to restore: what came after it was only read.
    proven = next((backup for backup in verified if backup.proven), None)
    if proven:
        reasons[proven.id].append("newest proven")
    for key, word in _PERIODS.items():
        for backup, period in _newest_of_each(verified, word, getattr(keep, key)):
            reasons[backup.id].append(f"{word} {period}")
    for backup in verified[1:minimum]:
        reasons[backup.id].append(f"one of the last {minimum}")
    for backup in ordered:
        if not backup.verified:
            reasons[backup.id].append(f"not verified: {backup.problem or 'it has no manifest'}")
    frozen = _frozen(ordered, verified)
    if frozen:
        for why in reasons.values():
            if not why:
                why.append(frozen)
    return Plan(
        kept=tuple(Kept(backup_id, tuple(why)) for backup_id, why in reasons.items() if why),
        removed=tuple(backup_id for backup_id, why in reasons.items() if not why),
        frozen=frozen,
    )


def _frozen(ordered: list[Backup], verified: list[Backup]) -> str:
    """Why nothing may go: what has come since the newest verified one may have lost what only the old ones hold."""
    newest = verified[0].id if verified else ""
    for backup in ordered:
        if backup.id > newest and backup.manifest is not None and backup.manifest.quarantine:
            return f"{backup.id} is in quarantine"
    return ""


def _newest_of_each(newest_first: list[Backup], word: str, count: int) -> list[tuple[Backup, str]]:
    found: dict[str, Backup] = {}
    for backup in newest_first:
        if len(found) >= count:
            break
        found.setdefault(_period(backup, word), backup)
    return [(backup, period) for period, backup in found.items()]


def _period(backup: Backup, word: str) -> str:
    # From the text, for strftime would take seconds over as many backups as a repository may hold.
    day = backup.created_at[:10]
    if word == "week":
        return _week(day)
    return {"day": day, "month": day[:7], "year": day[:4]}[word]


@lru_cache(maxsize=1 << 16)
def _week(day: str) -> str:
    year, week, _weekday = date.fromisoformat(day).isocalendar()
    return f"{year:04}-W{week:02}"
