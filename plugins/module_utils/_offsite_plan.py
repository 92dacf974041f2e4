# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which copies can be trusted, which are still to be made and which go, without touching a disk or a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from ._offsite import Target
from ._pg_repository import MANIFEST, Backup, BackupError, Manifest, parse_id
from ._pg_rotation import Kept, Plan, plan

ABSENT = "it is not there"
INCOMPLETE = "it is not complete: its manifest is missing"
#: A half that is so much older than the newest whole copy is nobody's upload any more.
_HALF_LIFE = timedelta(days=2)
#: What a manifest calls a file becomes a path here: none that leads elsewhere.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def judge_copy(
    name: str, backup_id: str, manifest: Manifest | None, sizes: Mapping[str, int], problem: str = ""
) -> Backup:
    """A copy as it lies there: complete is one whose manifest is there, and whose every file has its size."""
    if not sizes:
        return Backup(backup_id, problem=ABSENT)
    if MANIFEST not in sizes:
        return Backup(backup_id, problem=INCOMPLETE)
    if manifest is None:
        return Backup(backup_id, problem=problem or "its manifest cannot be read")
    if manifest.name != name:
        return Backup(backup_id, problem=f"its manifest belongs to {manifest.name[:40]!r}")
    if not manifest.sha256:
        problem = problem or "its manifest names no dump"
    for file in manifest.files:
        if not _FILE_NAME.fullmatch(file.name) or file.name == MANIFEST:
            return Backup(backup_id, problem=f"its manifest names the strange file {file.name[:40]!r}")
        if file.name not in sizes:
            problem = problem or f"{file.name} is missing"
        elif sizes[file.name] != file.size:
            problem = problem or f"{file.name} has {sizes[file.name]} bytes instead of {file.size}"
    if not problem and manifest.quarantine:
        problem = f"in quarantine: {manifest.quarantine}"
    return Backup(backup_id, manifest, problem or manifest.damage)


def refusal(manifest: Manifest) -> str:
    """Why a backup is not worth a copy; empty when it is."""
    if manifest.quarantine:
        return f"it is in quarantine ({manifest.quarantine}); look at it and accept it, then copy it"
    if manifest.damage:
        return f"it is damaged ({manifest.damage}), and a damaged backup is not copied"
    if not manifest.verified_at or not manifest.files:
        return "it was never verified, and only verified backups are copied; verify it, then copy it"
    return ""


def same_backup(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests describe the same dump; what was found about it later may differ."""
    return one.files == other.files and same_origin(one, other)


def same_origin(one: Manifest, other: Manifest) -> bool:
    return (one.id, one.name, one.created_at) == (other.id, other.name, other.created_at) and (
        not one.system_identifier or not other.system_identifier or one.system_identifier == other.system_identifier
    )


def pending(backups: Iterable[Backup], target: Target) -> list[Manifest]:
    """Verified backups since the newest copy, oldest first: tonight's, and those of an outage.

    Older ones are not made up for: the target's rotation may have removed them with good reason.
    """
    found = sorted((backup for backup in backups if backup.verified), key=lambda backup: backup.id)
    manifests = [backup.manifest for backup in found if backup.manifest]
    newest = max((manifest.id for manifest in manifests if is_copied(manifest, target)), default="")
    waiting = [manifest for manifest in manifests if manifest.id > newest]
    return waiting if newest else waiting[-1:]


def is_copied(manifest: Manifest, target: Target) -> bool:
    return any(copy.target == target.name and not copy.problem for copy in manifest.copies)


def plan_copies(backups: Iterable[Backup], target: Target) -> Plan:
    """The local policy over complete copies; halves that a killed upload left go once they are old."""
    copies = list(backups)
    if two_writers(copies):
        raise BackupError(
            f"Offsite target {target.name}: backups of two database clusters alternate in {target.place}, and rotating "
            "would let each push out the other's; give each server a prefix or path of its own."
        )
    decided = plan(copies, target.keep, target.minimum)
    newest = max((copy.id for copy in copies if copy.verified), default="")
    halves = {
        copy.id
        for copy in copies
        if copy.problem == INCOMPLETE and newest and parse_id(copy.id) + _HALF_LIFE < parse_id(newest)
    }
    earlier = last_of_earlier_clusters(copies) & set(decided.removed)
    kept = [kept for kept in decided.kept if kept.id not in halves]
    kept += [Kept(backup_id, ("the last one of an earlier database cluster",)) for backup_id in earlier]
    removed = tuple(sorted({*decided.removed, *halves} - earlier, reverse=True))
    return replace(decided, kept=tuple(sorted(kept, key=lambda one: one.id, reverse=True)), removed=removed)


def last_of_earlier_clusters(backups: Iterable[Backup]) -> set[str]:
    """The newest copy of each cluster but the present one.

    A host that replaces a lost one may copy an empty database every night: that must never push out what was lost.
    """
    last = {cluster: backup_id for backup_id, cluster in _clusters(backups)}
    return set(last.values()) - {max(last.values(), default="")}


def two_writers(backups: Iterable[Backup]) -> bool:
    """Whether the copies of two clusters alternate: two servers write to one place.

    After an upgrade to a new cluster the old one's copies all come before the new one's, which is fine.
    """
    known = [cluster for _id, cluster in _clusters(backups)]
    changes = sum(before != after for before, after in zip(known, known[1:], strict=False))
    return changes >= len(set(known)) > 1


def _clusters(backups: Iterable[Backup]) -> list[tuple[str, str]]:
    """The id of each trusted copy with the cluster that it is of, where that is known; the oldest first."""
    return sorted(
        (backup.id, backup.manifest.system_identifier)
        for backup in backups
        if backup.verified and backup.manifest and backup.manifest.system_identifier
    )
