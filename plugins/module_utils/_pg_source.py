# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The backup that a restore starts from: found, unchanged since it was proven, and readable. I/O."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._age import check_identity, unseal
from ._pg_repository import DRAFT_PREFIX, DUMP, SEALED, Backup, BackupError, Manifest
from ._pg_restore_plan import Request, choose
from ._pg_store import load, load_one


def find_backup(root: str, name: str, wanted: str | Path, request: Request) -> tuple[Manifest, Path]:
    """The manifest and the folder of a backup: of the repository, or of a folder that was brought from elsewhere."""
    if isinstance(wanted, Path):
        found = load_one(wanted)
        if found.manifest is None or (found.problem and not request.force):
            raise BackupError(f"The backup in {wanted} is not to be trusted: {found.problem}.")
        return found.manifest, wanted
    backups = load(root, name)
    if not backups:
        raise BackupError(f"{name} has no backup in {root}; name where it is (from), or take one.")
    found = choose(backups, wanted, force=request.force)
    return manifest_of(found), Path(root) / name / found.id


def manifest_of(backup: Backup) -> Manifest:
    if backup.manifest is None:
        raise BackupError(f"Backup {backup.id} is not to be trusted: {backup.problem or 'it has no manifest'}.")
    return backup.manifest


def check_readable(manifest: Manifest, identity: Path | None) -> None:
    """Refuse a sealed backup without the key, before anything that takes time."""
    if not manifest.encrypted:
        return
    if identity is None:
        raise BackupError(
            f"Backup {manifest.id} is encrypted; name the identity file with the private key to one of its "
            f"{len(manifest.recipients)} recipients."
        )
    check_identity(identity)


def check_unchanged(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest: a flipped bit is found here and not halfway."""
    for file in manifest.files:
        try:
            with (folder / file.name).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size = stream.tell()
        except OSError as error:
            raise BackupError(f"{folder / file.name} cannot be read: {error.strerror}.") from None
        if (size, digest) != (file.size, file.sha256):
            raise BackupError(
                f"{folder / file.name} is not the file that was proven (size or sha256 differ); choose another backup, "
                "or fetch its offsite copy."
            )


@contextmanager
def private_folder(folder: Path, name: str) -> Iterator[Path]:
    """A place for plain text that goes away with us; if we are killed, the next run removes it."""
    path = folder / f"{DRAFT_PREFIX}{name}-{os.getpid()}"
    try:
        path.mkdir(mode=0o700)
        yield path
    except OSError as error:
        raise BackupError(f"Cannot write below {folder}: {error.strerror}.") from None
    finally:
        shutil.rmtree(path, ignore_errors=True)


def plain_dump(folder: Path, manifest: Manifest, identity: Path | None, private: Path) -> Path:
    """The dump itself, decrypted into the private folder if it is sealed."""
    if not manifest.encrypted:
        return folder / DUMP
    if identity is None:
        check_readable(manifest, identity)
    else:
        sealed = folder / (DUMP + SEALED)
        free, needed = shutil.disk_usage(private).free, sealed.stat().st_size
        if free < needed:
            raise BackupError(
                f"{private.parent} has {free} bytes free and the decrypted dump needs {needed}; free some."
            )
        return unseal(sealed, identity, private)
    return folder / DUMP
