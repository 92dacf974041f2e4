# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Reading a backup again: whether its files are those that were proven, and still hold every row."""

from __future__ import annotations

import shutil
from pathlib import Path

from ._age import unseal
from ._pg_client import choose_major
from ._pg_decode import decode
from ._pg_fingerprint import Background, fingerprint
from ._pg_programs import installed_clients
from ._pg_repository import DRAFT_PREFIX, DUMP, SEALED, BackupError, Manifest


def find_damage(folder: Path, manifest: Manifest, identity: Path | None) -> str:
    """What is wrong with a backup in the folder of its name. BackupError when that cannot be told, which is no damage.

    Of an encrypted one only sizes and checksums can be told without the identity file of its key.
    """
    home = folder / manifest.id
    reading = Background(lambda: _find_alteration(home, manifest))
    if not manifest.encrypted:
        found = _find_loss(home / DUMP, _client(manifest), manifest)
        return reading.result() or found
    if identity is None or reading.result():
        return reading.result()
    client = _client(manifest)
    scratch = folder / (DRAFT_PREFIX + manifest.id)
    try:
        scratch.mkdir(mode=0o700)
        # The file is the one that was proven: if it cannot be decrypted, that is for its identity or for the disk.
        return _find_loss(unseal(home / (DUMP + SEALED), identity, scratch), client, manifest)
    except OSError as error:
        raise BackupError(f"{home} cannot be decrypted: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _client(manifest: Manifest) -> int:
    return choose_major(installed_clients(), manifest.client_version)


def _find_alteration(home: Path, manifest: Manifest) -> str:
    for file in manifest.files:
        try:
            if fingerprint(home / file.name) != file:
                return f"{file.name} is not the file that was proven: size or sha256 differ"
        except FileNotFoundError:
            return f"{file.name} is missing"
        except OSError as error:
            return f"{file.name} cannot be read: {error.strerror}"
    return ""


def _find_loss(dump: Path, client: int, manifest: Manifest) -> str:
    try:
        decoded = decode(dump, client)
    except BackupError as error:
        return str(error).rstrip(".")
    wanted = {table.key: table.rows for table in manifest.tables if table.name}
    return "its rows are not those that its manifest tells" if wanted and wanted != decoded else ""
