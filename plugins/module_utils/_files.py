# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Files that are never seen half-written, and folders; both with the mode they need under every umask. Only I/O."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it to its own.

    The file gets exactly this mode: sudo's umask may be 0077.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_directory(path.parent)


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON into a file that only its owner reads."""
    write_atomically(path, json.dumps(data, indent=2, sort_keys=True) + "\n")


def make_folder(path: Path, mode: int = 0o755, *, repair: bool = True, check: bool = False) -> bool:
    """Create a folder with exactly this mode and its missing parents with 0755, whatever the umask is.

    Args:
        path: The folder.
        mode: Its mode.
        repair: Whether an existing folder gets the mode too; False for a folder that is not ours.
        check: Whether to report only.

    Returns:
        Whether a folder was created or repaired, or would be.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    changed = bool(missing) or (repair and stat.S_IMODE(path.stat().st_mode) != mode)
    if changed and not check:
        for folder in reversed(missing):
            folder.mkdir(mode=mode if folder == path else 0o755, exist_ok=True)
            folder.chmod(mode if folder == path else 0o755)
        if repair:
            path.chmod(mode)
    return changed


def flush_directory(path: Path) -> None:
    """Make the creation, renaming or removal of a folder's entries last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
