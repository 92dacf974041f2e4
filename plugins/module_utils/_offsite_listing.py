# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What lies on an offsite target."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ._offsite import Target
from ._offsite_plan import INCOMPLETE, judge_copy
from ._offsite_rclone import NotThere, Rclone, connected
from ._pg_repository import MANIFEST, Backup, BackupError, check_name, is_id, read_manifest


def names(target: Target) -> list[str]:
    """Names that have copies on the target."""
    with connected(target) as rclone:
        try:
            listed = rclone.run("lsf", target.path(), extra=["--dirs-only"])
        except NotThere:
            if target.type == "s3":
                raise
            return []
    return sorted(line.rstrip("/") for line in listed.splitlines() if _is_name(line.rstrip("/")))


def listing(target: Target, name: str) -> list[Backup]:
    """All copies of a name, oldest first; incomplete and damaged ones too, with their problem."""
    with connected(target) as rclone:
        return list_copies(rclone, check_name(name))


def list_copies(rclone: Rclone, name: str) -> list[Backup]:
    copies = by_id(rclone.files(name))
    if not any(MANIFEST in sizes for sizes in copies.values()):
        return [Backup(backup_id, problem=INCOMPLETE) for backup_id in sorted(copies)]
    with tempfile.TemporaryDirectory(prefix="quayside-") as folder:
        rclone.run("copy", rclone.target.path(name), folder, extra=[f"--include=/*/{MANIFEST}", "--fast-list"])
        return [_read(Path(folder), name, backup_id, sizes) for backup_id, sizes in sorted(copies.items())]


def by_id(files: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The files of each copy; what lies elsewhere is not ours."""
    found: dict[str, dict[str, int]] = {}
    for path, size in files.items():
        backup_id, _slash, file = path.partition("/")
        if is_id(backup_id) and file and "/" not in file:
            found.setdefault(backup_id, {})[file] = size
    return found


def read_copy(rclone: Rclone, name: str, backup_id: str) -> Backup:
    """One copy as it lies there, by its sizes."""
    sizes = rclone.files(name, backup_id)
    text = rclone.read(name, backup_id, MANIFEST) if MANIFEST in sizes else ""
    return _judge(name, backup_id, sizes, text)


def _read(folder: Path, name: str, backup_id: str, sizes: Mapping[str, int]) -> Backup:
    try:
        text = (folder / backup_id / MANIFEST).read_text("utf-8", "replace") if MANIFEST in sizes else ""
    except OSError:
        text = ""  # removed between the two calls
    return _judge(name, backup_id, sizes, text)


def _judge(name: str, backup_id: str, sizes: Mapping[str, int], text: str) -> Backup:
    try:
        manifest = read_manifest(text, backup_id) if text else None
    except BackupError as error:
        return judge_copy(name, backup_id, None, sizes, str(error))
    return judge_copy(name, backup_id, manifest, sizes)


def _is_name(text: str) -> bool:
    try:
        return bool(check_name(text))
    except BackupError:
        return False
