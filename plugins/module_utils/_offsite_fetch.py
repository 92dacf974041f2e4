# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Bringing an offsite copy back into the local repository."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from ._files import flush_directory, write_atomically
from ._offsite import Target
from ._offsite_listing import list_copies, read_copy
from ._offsite_rclone import Rclone, connected
from ._pg_repository import (
    DRAFT_PREFIX,
    MANIFEST,
    TRASH_PREFIX,
    Backup,
    BackupError,
    Copy,
    Manifest,
    check_name,
    format_time,
    is_id,
)
from ._pg_store import Log, load_one, locked, quiet, utc_now

_CHUNK = 1 << 20


def fetch(target: Target, root: str, name: str, backup_id: str, log: Log = quiet, wait: int = 300) -> Backup:
    """Bring a copy into the local repository, compared before it bears its id; a sound one that is there stays."""
    with connected(target) as rclone, locked(root, check_name(name), wait) as folder:
        final = folder / backup_id
        if is_id(backup_id) and final.is_dir() and load_one(final).verified:
            log(f"{name}: {backup_id} is in {root} already")
            return load_one(final)
        manifest = _wanted(rclone, name, backup_id)
        _check_space(folder, manifest)
        draft = folder / (DRAFT_PREFIX + backup_id)
        try:
            draft.mkdir(mode=0o700)
            log(f"{name}: fetching {backup_id} from {target.name} ({manifest.size} bytes)")
            _download(rclone, draft, manifest)
            copied = Copy(target.name, target.where(name, backup_id), format_time(utc_now()))
            write_atomically(draft / MANIFEST, replace(manifest, copies=(copied,)).to_json())
            # A damaged one of the same id makes room: what is fetched has just been proven.
            trash = folder / (TRASH_PREFIX + backup_id)
            if final.exists():
                final.rename(trash)
            draft.rename(final)
            flush_directory(folder)
            shutil.rmtree(trash, ignore_errors=True)
        except OSError as error:
            raise BackupError(f"{backup_id} could not be fetched into {folder}: {error.strerror}.") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        log(f"{name}: {backup_id} is fetched and equal to its manifest")
        return load_one(final)


def _wanted(rclone: Rclone, name: str, backup_id: str) -> Manifest:
    target = rclone.target
    there = read_copy(rclone, name, backup_id) if is_id(backup_id) else Backup(backup_id, problem="that is no id")
    if there.verified and there.manifest:
        return there.manifest
    good = [copy.id for copy in list_copies(rclone, name) if copy.verified][::-1]
    shown = ", ".join(good[:5]) + (f" and {len(good) - 5} older ones" if len(good) > 5 else "")
    raise BackupError(
        f"{target.label}: {name} has no complete backup {backup_id[:40]!r} there: "
        f"{there.problem}; there are: {shown or 'none'}."
    )


def _check_space(folder: Path, manifest: Manifest) -> None:
    free = os.statvfs(folder)
    available = free.f_bavail * free.f_frsize
    if available < manifest.size:
        raise BackupError(
            f"{manifest.id} has {manifest.size} bytes, and {folder} has {available} free; make room there, "
            "or choose another root."
        )


def _download(rclone: Rclone, draft: Path, manifest: Manifest) -> None:
    for file in manifest.files:
        path = draft / file.name
        rclone.run("copyto", rclone.target.path(manifest.name, manifest.id, file.name), str(path))
        if not path.exists() or path.stat().st_size != file.size or _sha256(path) != file.sha256:
            raise BackupError(
                f"{rclone.target.label}: {file.name} of {manifest.id} is damaged there: "
                "its size or sha256 differs; fetch another backup."
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
        os.fsync(stream.fileno())
    return digest.hexdigest()
