# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A backup repository on a disk: reading it, and having it for oneself."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from ._files import flush_directory, write_atomically
from ._pg_repository import (
    DRAFT_PREFIX,
    LOCK,
    MANIFEST,
    TRASH_PREFIX,
    Backup,
    BackupError,
    Manifest,
    check_name,
    is_id,
    judge,
    read_manifest,
)

Log = Callable[[str], None]


def quiet(_message: str) -> None:
    """The log of a caller that wants none."""


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def list_names(root: str) -> list[str]:
    """Names that have a folder in the repository."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path.name for path in Path(root).iterdir() if path.is_dir() and not path.name.startswith("."))
    return []


def load(root: str, name: str) -> list[Backup]:
    """All backups of a name, oldest first; damaged and foreign ones too, with their problem."""
    folder = Path(root) / check_name(name)
    try:
        entries = sorted(path for path in folder.iterdir() if is_id(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [load_one(path) for path in entries]


def load_one(folder: Path) -> Backup:
    """The backup in a folder that bears its id."""
    try:
        manifest = read_manifest((folder / MANIFEST).read_text("utf-8"), folder.name)
        sizes = {entry.name: entry.stat().st_size for entry in folder.iterdir()}
    except BackupError as error:
        return Backup(folder.name, problem=str(error))
    except FileNotFoundError:
        return Backup(folder.name, problem="its manifest is missing")
    except (OSError, UnicodeDecodeError):
        return Backup(folder.name, problem="its manifest cannot be read")
    return judge(folder.name, manifest, sizes)


def find(root: str, name: str, backup_id: str) -> Backup:
    """One backup by its id; BackupError names those that there are."""
    folder = Path(root) / check_name(name)
    if is_id(backup_id) and (folder / backup_id).is_dir():
        return load_one(folder / backup_id)
    known = [backup.id for backup in load(root, name)][::-1]
    shown = ", ".join(known[:5]) + (f" and {len(known) - 5} older ones" if len(known) > 5 else "")
    raise BackupError(f"{name} has no backup {backup_id[:40]!r} in {root}; there are: {shown or 'none'}.")


def update(root: str, name: str, manifest: Manifest) -> None:
    """Write a backup's manifest anew. Only under locked()."""
    folder = Path(root) / check_name(name) / manifest.id
    try:
        write_atomically(folder / MANIFEST, manifest.to_json())
    except OSError as error:
        raise BackupError(f"Cannot write {folder / MANIFEST}: {error.strerror}; it is as it was.") from None


@contextmanager
def locked(root: str, name: str, wait: int) -> Iterator[Path]:
    """The folder of a name, made private, swept of what killed runs left, and ours alone."""
    folder = Path(root) / check_name(name)
    try:
        for path in (Path(root), folder):
            if not path.is_dir():
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                flush_directory(path.parent)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(f"Cannot write to {folder}: {error.strerror}; choose a root that root can write.") from None
    try:
        _wait_for_lock(descriptor, name, wait)
        for path in folder.iterdir():
            if path.name.startswith((DRAFT_PREFIX, TRASH_PREFIX)):
                shutil.rmtree(path, ignore_errors=True)
        yield folder
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, name: str, wait: int) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BackupError(
                    f"Another run works on the backups of {name} for more than {wait} s; try when it has ended."
                ) from None
            time.sleep(0.2)
