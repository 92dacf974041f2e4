# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The backup that a restore starts from: found, unchanged, readable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DRAFT_PREFIX,
    MANIFEST,
    BackupError,
    DumpFile,
    Manifest,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Request
from ansible_collections.quayside.web.plugins.module_utils._pg_source import (
    check_readable,
    check_unchanged,
    find_backup,
    plain_dump,
    private_folder,
)

ID = "20261121T030000Z"
CONTENT = b"PGDMP and so on"
GOOD = Manifest(
    ID,
    "ledger",
    "2026-11-21T03:00:00Z",
    "ledger",
    "h",
    5432,
    "15.8",
    15,
    "none",
    files=(DumpFile("dump.pgc", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),),
    verified_at="2026-11-21T03:00:01Z",
)


def write(root: Path, manifest: Manifest = GOOD) -> Path:
    folder = root / "ledger" / manifest.id
    folder.mkdir(parents=True)
    (folder / "dump.pgc").write_bytes(CONTENT)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest)))
    return folder


def test_a_backup_is_found_by_name_and_by_folder(tmp_path: Path) -> None:
    folder = write(tmp_path)
    assert find_backup(str(tmp_path), "ledger", "latest", Request()) == (GOOD, folder)
    assert find_backup("/nowhere", "ledger", folder, Request()) == (GOOD, folder)


def test_an_empty_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"ledger has no backup in .*; name where it is"):
        find_backup(str(tmp_path), "ledger", "latest", Request())


def test_a_folder_in_quarantine_needs_force(tmp_path: Path) -> None:
    folder = write(tmp_path, replace(GOOD, quarantine="small"))
    with pytest.raises(BackupError, match="not to be trusted: in quarantine"):
        find_backup("/nowhere", "ledger", folder, Request())
    assert find_backup("/nowhere", "ledger", folder, Request(force=True))[1] == folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(CONTENT, "", id="unchanged"),
        pytest.param(CONTENT.replace(b"on", b"of"), "is not the file that was proven", id="flipped"),
        pytest.param(CONTENT[:-1], "is not the file that was proven", id="cut"),
        pytest.param(b"", "is not the file that was proven", id="empty"),
        pytest.param(None, "cannot be read: No such file", id="missing"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    folder = write(tmp_path)
    if content is None:
        (folder / "dump.pgc").unlink()
    else:
        (folder / "dump.pgc").write_bytes(content)
    if not message:
        check_unchanged(folder, GOOD)
        return
    with pytest.raises(BackupError, match=message):
        check_unchanged(folder, GOOD)


def test_an_encrypted_backup_needs_a_private_key_that_is_private(tmp_path: Path) -> None:
    sealed = replace(GOOD, recipients=("age1one", "age1two"))
    check_readable(GOOD, None)
    with pytest.raises(BackupError, match=r"is encrypted; name the identity file .* to one of its 2 recipients"):
        check_readable(sealed, None)
    with pytest.raises(BackupError, match="cannot be read: No such file"):
        check_readable(sealed, tmp_path / "key")
    (tmp_path / "key").write_text("AGE-SECRET-KEY-1")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(BackupError, match="mode 0644"):
        check_readable(sealed, tmp_path / "key")


def test_a_plain_dump_is_used_where_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path)
    with private_folder(tmp_path / "ledger", "restore") as private:
        assert plain_dump(folder, GOOD, None, private) == folder / "dump.pgc"
        assert private.stat().st_mode & 0o777 == 0o700
        # What a killed run leaves is swept by the next one that holds the lock.
        assert private.name.startswith(DRAFT_PREFIX)
        (private / "plain").write_text("x")
    assert not private.exists()


def test_the_private_folder_goes_away_on_failure_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), private_folder(tmp_path, "restore") as private:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert not private.exists()
