# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a new backup is held against: the disk before it, its own source, and the backups that are there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ._pg_repository import Backup, BackupError, Key, Manifest, Table

#: What a dump may have grown since the newest one.
_GROWTH = 1.2
#: A guess at a first dump: this much of the database, without its indexes, compressed or not.
_GUESS = {True: 0.2, False: 0.8}


def newest_alike(earlier: Iterable[Backup], include: Sequence[str], exclude: Sequence[str]) -> Manifest | None:
    """The newest verified backup of the same tables: what a new one is compared with."""
    alike = (
        backup.manifest
        for backup in sorted(earlier, key=lambda backup: backup.id, reverse=True)
        if backup.verified and backup.manifest is not None
    )
    limits = (tuple(include), tuple(exclude))
    return next((manifest for manifest in alike if (manifest.include, manifest.exclude) == limits), None)


def check_cluster(identifier: str, earlier: Iterable[Backup], allowed: bool) -> None:
    """Refuse a server that is not the one of the newest backup: its dumps would push the others out."""
    known = [backup.manifest for backup in earlier if backup.manifest is not None and backup.manifest.system_identifier]
    newest = max(known, key=lambda manifest: manifest.id, default=None)
    if allowed or not identifier or newest is None or newest.system_identifier == identifier:
        return
    raise BackupError(
        f"The server is the cluster {identifier}, but backup {newest.id} of {newest.name} came from "
        f"{newest.system_identifier} ({newest.host}:{newest.port}); if the server was moved or upgraded, "
        "pass allow_other_cluster once, else correct its URL or give it another name."
    )


def check_space(free: int, needed: int, folder: str, why: str) -> None:
    """Refuse to begin what the disk cannot hold."""
    if free < needed:
        raise BackupError(
            f"{folder} has {show_bytes(free)} free, but {show_bytes(needed)} are needed ({why}); "
            "free some space or choose another root."
        )


def needed_space(newest: Manifest | None, database: int, *, compressed: bool, partial: bool, encrypted: bool) -> int:
    """Bytes that a dump will need, by the newest one like it; else by the size of the database."""
    guess = 0.0 if partial else database * _GUESS[compressed]
    size = newest.size * _GROWTH if newest is not None else guess
    # The plain dump is there until its encrypted copy is complete.
    return int(size * 2 if encrypted else size)


def compare_rows(counted: Iterable[Table], roots: Mapping[Key, Key], decoded: Mapping[Key, int]) -> tuple[Table, ...]:
    """The tables of a dump, of which every row that the snapshot had is in it; else BackupError."""
    tables: dict[Key, list[Table]] = {}
    for table in counted:
        # pg_dump fills some partitions through their root, for their rows may belong elsewhere after a restore.
        named = table.key if table.key in decoded else roots.get(table.key, table.key)
        tables.setdefault(named, []).append(table)
    result = []
    for key in sorted(tables.keys() | decoded.keys()):
        parts = tables.get(key, [])
        rows = sum(part.rows for part in parts)
        if key not in decoded or not parts:
            where = "the dump" if key not in decoded else "the database"
            raise BackupError(f"The dump is not whole: {'.'.join(key)} is not in {where}; nothing was kept.")
        if decoded[key] != rows:
            raise BackupError(
                f"The dump is not whole: {'.'.join(key)} has {decoded[key]} rows in it, but {rows} in the database at "
                "the same moment; nothing was kept."
            )
        result.append(replace(parts[0], schema=key[0], name=key[1], rows=rows, hash=_sum([p.hash for p in parts])))
    return tuple(result)


def _sum(hashes: Sequence[str]) -> str:
    return f"{sum(int(text, 16) for text in hashes) % 2**64:016x}" if all(hashes) else ""


def reason_for_quarantine(new: Manifest, newest: Manifest | None, *, allow_empty: bool, percent: int) -> str:
    """Why a person has to look at a backup before it may count; empty where nobody has to."""
    if newest is None or (allow_empty and not new.tables):
        return ""
    if newest.tables and not new.tables:
        return f"the database holds no table now, but {len(newest.tables)} in backup {newest.id}"
    if newest.rows and not new.rows:
        return f"the database holds no row now, but {newest.rows} in backup {newest.id}"
    if new.rows * 100 < newest.rows * percent:
        return f"it has {new.rows} rows, less than {percent} % of the {newest.rows} in backup {newest.id}"
    if new.compression == newest.compression and new.size * 100 < newest.size * percent:
        size, before = show_bytes(new.size), show_bytes(newest.size)
        return f"it has {size}, less than {percent} % of the {before} in backup {newest.id}"
    return ""


def show_bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
