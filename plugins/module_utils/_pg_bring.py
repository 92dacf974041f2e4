# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Bringing a backup from where its copies are to where it can be restored. I/O."""

from __future__ import annotations

from ._offsite import Target
from ._offsite_fetch import fetch
from ._offsite_listing import listing
from ._pg_repository import Backup, BackupError
from ._pg_restore_plan import choose
from ._pg_store import Log, load, quiet


def choose_remote(target: Target, name: str, wanted: str, force: bool = False) -> Backup:
    """The backup of an offsite target that is meant by latest, an id or a time."""
    found = listing(target, name)
    if not found:
        raise BackupError(f"The offsite target {target.name} holds no backup of {name}.")
    return choose(found, wanted, force=force)


def bring(target: Target, root: str, name: str, wanted: str, force: bool = False, log: Log = quiet) -> str:
    """The id of the wanted backup, which is in the repository from now on."""
    remote = choose_remote(target, name, wanted, force)
    here = next((backup for backup in load(root, name) if backup.id == remote.id), None)
    same = here and here.manifest and remote.manifest and here.manifest.files == remote.manifest.files
    if not (here and here.verified and same):
        fetch(target, root, name, remote.id, log)
    return remote.id
