# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Copies of backups on offsite targets: made, read back, listed, fetched and removed; all of it by rclone."""

from __future__ import annotations

from ._offsite import Target
from ._pg_repository import Backup, Copy, Manifest
from ._pg_rotation import Plan
from ._pg_store import Log, quiet


def copy(target: Target, root: str, manifest: Manifest, log: Log = quiet) -> Copy:
    """Copy one verified backup and read it back; what went wrong is in the copy's problem, nothing is raised."""
    raise NotImplementedError


def verify(target: Target, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """Read a copy back and compare every fingerprint with its manifest."""
    raise NotImplementedError


def listing(target: Target, name: str) -> list[Backup]:
    """All copies of a name, oldest first; incomplete and damaged ones too, with their problem."""
    raise NotImplementedError


def names(target: Target) -> list[str]:
    """Names that have copies on the target."""
    raise NotImplementedError


def fetch(target: Target, root: str, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """Bring a copy into the local repository, compared before it bears its id; one that is there stays."""
    raise NotImplementedError


def plan_rotation(target: Target, name: str) -> Plan:
    """What rotate would do."""
    raise NotImplementedError


def rotate(target: Target, name: str, log: Log = quiet) -> Plan:
    """Remove what the target's policy doesn't keep, over complete copies only, each manifest before its files."""
    raise NotImplementedError


def check(target: Target) -> None:
    """Write, read and remove one small file; BackupError says what is in the way."""
    raise NotImplementedError
