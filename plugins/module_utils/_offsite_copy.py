# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Copying backups to an offsite target, and proving that they arrived: read back and compared, the manifest last."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ._files import flush_directory
from ._offsite import Target
from ._offsite_fetch import fetch
from ._offsite_listing import list_copies, listing, names, read_copy
from ._offsite_plan import ABSENT, INCOMPLETE, plan_copies, refusal, same_backup, same_origin
from ._offsite_rclone import NoAnswer, Rclone, connected
from ._pg_repository import MANIFEST, Backup, BackupError, Copy, Manifest, check_name, format_time
from ._pg_rotation import Plan
from ._pg_store import Log, quiet, utc_now

__all__ = ["check", "copy", "fetch", "listing", "names", "plan_rotation", "rotate", "verify"]

#: Seconds for another copy to the same target to end.
WAIT = 300


def copy(target: Target, root: str, manifest: Manifest, log: Log = quiet) -> Copy:
    """Copy one verified backup and read it back; what went wrong is in the copy's problem, nothing is raised."""
    where = target.where(manifest.name, manifest.id)
    problem = refusal(manifest)
    if problem:
        problem = f"Offsite target {target.name}: {manifest.id} is not copied: {problem}."
    else:
        try:
            _copy(target, Path(root) / check_name(manifest.name) / manifest.id, manifest, log)
        except BackupError as error:
            problem = str(error)
        except OSError as error:
            problem = f"Offsite target {target.name}: {manifest.id} cannot be copied: {error.strerror or error}."
    log(f"{manifest.name}: " + (problem or f"{manifest.id} is at {where}, {_proof(target)}"))
    return Copy(target=target.name, path=where, at=format_time(utc_now()), problem=problem)


def _proof(target: Target) -> str:
    return "read back and equal" if target.read_back else "of the right size; read_back is off, so it was not read back"


def _copy(target: Target, folder: Path, manifest: Manifest, log: Log) -> None:
    _check_files(folder, manifest)
    largest = max(file.size for file in manifest.files)
    parts = (manifest.name, manifest.id)
    with _alone(folder.parent, target), connected(target, largest) as rclone:
        there = read_copy(rclone, *parts)
        if there.manifest and not same_origin(there.manifest, manifest):
            raise BackupError(
                f"{target.label}: another server's backup {manifest.id} of {manifest.name} "
                "lies there; give each server a prefix or path of its own."
            )
        if there.verified and there.manifest and same_backup(there.manifest, manifest):
            problem = _difference(rclone, manifest)
            if not problem:
                _write_manifest(rclone, manifest, there.manifest)
                return
            log(f"{manifest.name}: the copy of {manifest.id} at {target.name} is damaged ({problem}) and replaced")
        # While it changes it is no backup; a kill from here on leaves files without a manifest.
        if there.problem not in (ABSENT, INCOMPLETE):
            rclone.remove(*parts, MANIFEST)
        log(f"{manifest.name}: copying {manifest.id} to {target.name} ({manifest.size} bytes)")
        try:
            _upload(rclone, folder, manifest)
        except NoAnswer:
            raise  # the next copy clears up
        except BaseException:
            _abandon(rclone, *parts)
            raise
        _write_manifest(rclone, manifest)


def _check_files(folder: Path, manifest: Manifest) -> None:
    """What is sent is there, and as long as it was: else what lies at the target is the better copy."""
    for file in manifest.files:
        size = (folder / file.name).stat().st_size
        if size != file.size:
            raise BackupError(f"{manifest.id} is not copied: its {file.name} has {size} bytes instead of {file.size}.")


def _upload(rclone: Rclone, folder: Path, manifest: Manifest) -> None:
    target = rclone.target
    _end_uploads(rclone, manifest.name)
    for file in manifest.files:
        path = target.path(manifest.name, manifest.id, file.name)
        # A file of the same size and time may be one that was damaged: it is always sent.
        rclone.run("copyto", str(folder / file.name), path, extra=["--ignore-times"])
    if target.type == "local":
        _flush(Path(target.base) / manifest.name / manifest.id)
    problem = _difference(rclone, manifest)
    if problem:
        raise BackupError(
            f"{target.label}: the copy of {manifest.id} differs from the backup: {problem}; verify "
            " the local one, check the server's disk, then copy again."
        )


def _difference(rclone: Rclone, manifest: Manifest) -> str:
    """What is wrong with the files of a copy, as they are read back; empty when nothing is."""
    sizes = rclone.files(manifest.name, manifest.id)
    for file in manifest.files:
        if sizes.get(file.name) != file.size:
            return f"{file.name} has {sizes.get(file.name, 'no')} bytes instead of {file.size}"
    if not rclone.target.read_back:
        return ""
    found = rclone.sha256(manifest.name, manifest.id)
    for file in manifest.files:
        if found.get(file.name) != file.sha256:
            return f"the sha256 of {file.name} differs"
    return ""


def _write_manifest(rclone: Rclone, manifest: Manifest, there: Manifest | None = None) -> None:
    """The last thing to come: where it is, the copy is whole. Which copies there are only the local one knows."""
    wanted = replace(manifest, copies=())
    if wanted != there:
        rclone.write(wanted.to_json(), manifest.name, manifest.id, MANIFEST)
        if rclone.target.type == "local":
            _flush(Path(rclone.target.base) / manifest.name / manifest.id)


def _flush(folder: Path) -> None:
    """Onto the disk and out of memory, so that reading back reads the disk."""
    for path in (entry for entry in folder.iterdir() if entry.is_file()):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    for path in (folder, folder.parent, folder.parent.parent):
        flush_directory(path)


def _end_uploads(rclone: Rclone, name: str) -> None:
    """Remove the parts of uploads that were killed: they are not seen, and paid for."""
    if rclone.target.type == "s3":
        try:
            rclone.run("backend", "cleanup", rclone.target.path(name), extra=["-o", "max-age=0s"])
        except NoAnswer:
            raise
        except BackupError:
            return  # some keys may not list them: then the provider's own expiry has to do it


def _abandon(rclone: Rclone, *parts: str) -> None:
    """After a failure: leave nothing there that costs; what can't be reached is without a manifest anyway."""
    _end_uploads(rclone, parts[0])
    with suppress(BackupError):
        rclone.purge(*parts)


@contextmanager
def _alone(folder: Path, target: Target) -> Iterator[None]:
    """One copy at a time to each target; the repository's own lock stays free for the next dump."""
    descriptor = os.open(folder / f".offsite-{target.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + WAIT
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= deadline:
                raise BackupError(f"Offsite target {target.name}: another run copies there for more than {WAIT} s.")
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def verify(target: Target, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """Read a copy back and compare every fingerprint with its manifest."""
    with connected(target) as rclone:
        there = read_copy(rclone, check_name(name), backup_id)
        if there.verified and there.manifest:
            there = replace(there, problem=_difference(rclone, there.manifest))
    log(
        f"{name}: the copy of {backup_id} at {target.name} is "
        + (f"damaged: {there.problem}" if there.problem else "equal")
    )
    return there


def plan_rotation(target: Target, name: str) -> Plan:
    """What rotate would do."""
    return plan_copies(listing(target, name), target)


def rotate(target: Target, name: str, log: Log = quiet) -> Plan:
    """Remove what the target's policy doesn't keep, over complete copies only, each manifest before its files."""
    with connected(target) as rclone:
        decided = plan_copies(list_copies(rclone, check_name(name)), target)
        for backup_id in decided.removed:
            rclone.remove(name, backup_id, MANIFEST)
            rclone.purge(name, backup_id)
            log(f"{name}: the copy of {backup_id} at {target.name} is removed")
    return decided


def check(target: Target) -> None:
    """Write, read and remove one small file; BackupError says what is in the way."""
    file = f".quayside-check-{socket.gethostname()}-{os.getpid()}"
    with connected(target) as rclone:
        try:
            rclone.write(f"{file}\n", file)
        finally:
            with suppress(BackupError):
                rclone.remove(file)
