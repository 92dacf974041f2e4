# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A backup repository: names, ids, layout and manifests, without touching a disk.

Layout, readable by a person:

    <root>/<name>/<id>/dump.pgc        pg_dump's custom format
                       globals.sql     roles and tablespaces, where the server lets us read them
                       manifest.json   what it is, and the proof

An encrypted backup has dump.pgc.age and globals.sql.age in their place; its manifest stays readable.

A folder whose name is not an id (.lock, .tmp-<id>, .trash-<id>) is never a backup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

FORMAT = 1
DUMP = "dump.pgc"
GLOBALS = "globals.sql"
MANIFEST = "manifest.json"
#: Ending of the files of an encrypted backup.
SEALED = ".age"
LOCK = ".lock"
DRAFT_PREFIX = ".tmp-"
TRASH_PREFIX = ".trash-"

_ID_FORMAT = "%Y%m%dT%H%M%SZ"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")

#: The name of a table: its schema and its own.
Key = tuple[str, str]

_Part = TypeVar("_Part", "Table", "Proof", "Copy")


class BackupError(Exception):
    """One sentence for a person: what was found, what is accepted, the fix; never a secret."""


@dataclass(frozen=True)
class DumpFile:
    """One file of a backup as it was when it was proven."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Table:
    """One table as the dump's snapshot held it; the hash is of all its rows in any order, empty unless asked for."""

    schema: str
    name: str
    rows: int
    hash: str = ""

    @property
    def key(self) -> Key:
        return self.schema, self.name


@dataclass(frozen=True)
class Proof:
    """What the last drill found: a real restore of which every table was counted. No problem means proven.

    excepted are objects, such as an index, that could not be made although every row was there.
    """

    at: str
    seconds: float
    server_version: str
    tables: int
    rows: int
    hashed: bool = False
    problem: str = ""
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """One offsite copy: where it is, when it was read back and found equal; or why it is not there."""

    target: str
    path: str
    at: str
    problem: str = ""


@dataclass(frozen=True)
class Manifest:
    """What is known about one backup. Times are UTC; verified_at is empty until everything has been checked.

    seconds holds the duration of each step; include and exclude are the patterns of tables that limited the dump;
    recipients are the age keys that it is encrypted to; quarantine says why a person has to look at it first.
    """

    id: str
    name: str
    created_at: str
    database: str
    host: str
    port: int
    server_version: str
    client_version: int
    compression: str
    duration: float = 0.0
    system_identifier: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: tuple[DumpFile, ...] = ()
    recipients: tuple[str, ...] = ()
    verified_at: str = ""
    damage: str = ""
    quarantine: str = ""
    proof: Proof | None = None
    copies: tuple[Copy, ...] = ()
    notes: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def partial(self) -> bool:
        return bool(self.include or self.exclude)

    @property
    def encrypted(self) -> bool:
        return bool(self.recipients)

    @property
    def sha256(self) -> str:
        return next((file.sha256 for file in self.files if file.name in (DUMP, DUMP + SEALED)), "")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Backup:
    """A folder of the repository; problem says why it can't be trusted, and is empty when it can."""

    id: str
    manifest: Manifest | None = field(default=None)
    problem: str = ""

    @property
    def verified(self) -> bool:
        return self.manifest is not None and not self.problem

    @property
    def proven(self) -> bool:
        """Verified, and restored with every row by its last drill."""
        proof = self.manifest.proof if self.manifest else None
        return self.verified and proof is not None and not proof.problem

    @property
    def created(self) -> datetime:
        """The clock at the dump; the id's own time may have been pushed forward to keep ids in order."""
        return parse_time(self.created_at)

    @property
    def created_at(self) -> str:
        return self.manifest.created_at if self.manifest else format_time(parse_id(self.id))


def check_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        shown = repr(name)[:40]
        raise BackupError(
            f"The backup name {shown} is not accepted; use a-z, 0-9, '-' and '_', starting with a letter, at most 63."
        )
    return name


def is_id(text: str) -> bool:
    if not _ID.fullmatch(text):
        return False
    try:
        parse_id(text)
    except ValueError:
        return False
    return True


def parse_id(text: str) -> datetime:
    return datetime.fromisoformat(text)


def parse_time(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime(_TIME_FORMAT)


def new_id(now: datetime, existing: Iterable[str]) -> str:
    """An id of this moment, later than every existing one even when the clock went back."""
    newest = max(filter(is_id, existing), default=None)
    wanted = now.astimezone(timezone.utc).replace(microsecond=0)
    if newest is not None and wanted <= parse_id(newest):
        wanted = parse_id(newest) + timedelta(seconds=1)
    return wanted.strftime(_ID_FORMAT)


def read_manifest(text: str, backup_id: str) -> Manifest:
    """The manifest in text, or BackupError with the reason that makes it worthless."""
    try:
        data: Any = json.loads(text)
    except ValueError:
        raise BackupError("its manifest is not JSON") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise BackupError("its manifest has no format number")
    if data["format"] > FORMAT:
        raise BackupError(f"its manifest has format {data['format']}, newer than this program's {FORMAT}")
    try:
        files = tuple(DumpFile(str(f["name"]), int(f["size"]), str(f["sha256"])) for f in data["files"])
        # A later program of the same format may add keys; what we don't know we don't need.
        known = {key: data[key] for key in Manifest.__dataclass_fields__ if key in data}
        known.update({key: tuple(map(str, data.get(key, ()))) for key in ("notes", "include", "exclude", "recipients")})
        known.update(
            files=files,
            tables=tuple(_read(Table, table) for table in data.get("tables", ())),
            copies=tuple(_read(Copy, copy) for copy in data.get("copies", ())),
            proof=_read_proof(data["proof"]) if data.get("proof") else None,
        )
        manifest = Manifest(**known)
        parse_time(manifest.created_at)
    except (KeyError, TypeError, ValueError):
        raise BackupError("its manifest lacks something or holds wrong types") from None
    if manifest.id != backup_id:
        raise BackupError(f"its manifest belongs to {manifest.id[:40]}")
    return manifest


def _read(kind: type[_Part], data: Mapping[str, Any]) -> _Part:
    return kind(**{key: data[key] for key in kind.__dataclass_fields__ if key in data})


def _read_proof(data: Mapping[str, Any]) -> Proof:
    return replace(_read(Proof, data), excepted=tuple(map(str, data.get("excepted", ()))))


def judge(backup_id: str, manifest: Manifest, sizes: dict[str, int]) -> Backup:
    """Trust a backup when it was proven, nothing has been found wrong since, and every file has its proven size."""
    problem = ""
    if manifest.damage:
        problem = manifest.damage
    elif manifest.quarantine:
        problem = f"in quarantine: {manifest.quarantine}"
    elif not manifest.verified_at:
        problem = "it was never verified"
    elif not manifest.sha256 or not manifest.size:
        problem = "its manifest names no dump"
    for file in manifest.files:
        if file.name not in sizes:
            problem = problem or f"{file.name} is missing"
        elif sizes[file.name] != file.size:
            problem = problem or f"{file.name} has {sizes[file.name]} bytes instead of {file.size}"
    return Backup(backup_id, manifest, problem)
