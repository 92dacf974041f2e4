# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Plain SQL files as migrations: their names, statements and checksums against the rows of our own table. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ._migration import Migration, MigrationError, Plan

TABLE = "quayside_migrations"
CREATE_TABLE = (
    "CREATE TABLE IF NOT EXISTS {table} (version text PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), seconds double precision, success boolean NOT NULL)"
)
#: A comment before the first statement; for CREATE INDEX CONCURRENTLY and others that no transaction may hold.
NO_TRANSACTION = "quayside: no-transaction"

_NAME = re.compile(r"([0-9]+)(?:[_-]([^/]*?))?(?:\.up)?\.sql")
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*)"
    r"|(?P<quoted>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<dollar>\$(?:[A-Za-z_\x80-\uffff][A-Za-z0-9_\x80-\uffff]*)?\$)"
    r"|(?P<word>[A-Za-z_\x80-\uffff][A-Za-z0-9_$\x80-\uffff]*)"
    r"|(?P<end>;)",
    re.DOTALL,
)
_TRANSACTION = re.compile(
    r"(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK(?!\s+TO)|ABORT|PREPARE\s+TRANSACTION)\b", re.I
)
_COPY = re.compile(r"COPY\b.*\bFROM\s+STDIN\b", re.I | re.DOTALL)


@dataclass(frozen=True)
class File:
    """One file, without its text."""

    version: str
    name: str
    checksum: str


@dataclass(frozen=True)
class Script:
    """What a file says. `statements` are apart from each other only where each must be sent alone."""

    statements: tuple[str, ...] = field(repr=False)
    in_transaction: bool = True


@dataclass(frozen=True)
class Row:
    version: str
    checksum: str
    success: bool


def read_folder(names: Mapping[str, bytes], *, image: str, path: str) -> tuple[File, ...]:
    """The migrations of a folder by version; a name that says no version is an error and not passed over."""
    found: dict[int, File] = {}
    for name in sorted(name for name in names if name.endswith(".sql") and "/" not in name):
        if name.endswith(".down.sql"):
            continue
        match = _NAME.fullmatch(name)
        if not match:
            raise MigrationError(
                f"{path}/{name} of {image} has no version in its name, expected one such as 0001_create_accounts.sql; "
                f"rename it, or move it out of the folder."
            )
        number = int(match[1])
        if number in found:
            raise MigrationError(
                f"{path} of {image} has two files of version {number} ({found[number].name} and {name}), expected "
                f"one of each; give one of them another number."
            )
        found[number] = File(match[1], name, checksum(names[name]))
    return tuple(found[number] for number in sorted(found))


def checksum(text: bytes) -> str:
    """The same for both kinds of line ends, as git may change them."""
    return hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def state(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted((row.version for row in rows if row.success), key=lambda version: (int(version), version)))


def plan(files: Sequence[File], rows: Sequence[Row], *, image: str, database: str, allow_ahead: bool = False) -> Plan:
    """Which files are to be applied, or a MigrationError that says why none must be."""
    before = state(rows)
    known = {int(file.version): file for file in files}
    for row in rows:
        file = known.get(int(row.version))
        if not row.success:
            raise MigrationError(
                f"Migration {file.name if file else row.version} on database {database} was begun without a "
                f"transaction and did not end: look at what it left there, then delete its row from {TABLE} to have "
                f"it tried again, or set success to true in it if it is complete."
            )
    unknown = [version for version in before if int(version) not in known]
    if unknown and allow_ahead:
        return Plan(before=before, after=before, ahead=True)
    if unknown:
        last = files[-1].version if files else "no file at all"
        raise MigrationError(
            f"Database {database} has applied {', '.join(unknown)}, which {image} does not have (it ends at {last}): "
            f"the database is ahead of it or belongs to another app; deploy an image that has it, or set allow_ahead "
            f"for a rollback."
        )
    for row in rows:
        file = known[int(row.version)]
        if row.checksum != file.checksum:
            raise MigrationError(
                f"{file.name} of {image} was edited after it was applied to database {database} (sha256 "
                f"{file.checksum[:12]}, applied was {row.checksum[:12]}); restore the file as it was, and put the "
                f"difference into a new one."
            )
    done = {int(version) for version in before}
    pending = tuple(file for file in files if int(file.version) not in done)
    late = [file.name for file in pending if done and int(file.version) < max(done)]
    return Plan(
        before=before,
        after=tuple(
            sorted({*before, *(file.version for file in pending)}, key=lambda version: (int(version), version))
        ),
        pending=tuple(Migration(file.version, file.name) for file in pending),
        warnings=tuple(
            f"{name} of {image} comes before a migration that database {database} has already applied ({before[-1]}); "
            f"see that it does not rely on the order."
            for name in late
        ),
    )


def read_script(name: str, text: bytes) -> Script:
    """A file as it is to be sent; MigrationError where it could not do what it says."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise MigrationError(f"{name} is not UTF-8 text; save it as such.") from exc
    in_transaction = not any(NO_TRANSACTION in comment for comment in _leading_comments(decoded))
    statements = tuple(split(decoded))
    for statement in statements:
        found = _TRANSACTION.match(statement)
        if found and in_transaction:
            raise MigrationError(
                f"{name} says {found[0].upper()}, but each file runs in a transaction of its own; remove that, or "
                f"start the file with the comment `-- {NO_TRANSACTION}`."
            )
        if statement.startswith("\\") or _COPY.match(statement):
            raise MigrationError(
                f"{name} holds `{statement.splitlines()[0][:60]}`, which only psql understands; write it as plain SQL."
            )
    return Script((decoded,) if in_transaction and statements else statements, in_transaction)


def split(text: str) -> Iterator[str]:
    """The statements of a script, without the comments before each."""
    start, here, depth = None, 0, 0
    while here < len(text):
        found = _TOKEN.match(text, here)
        if found is None:
            if start is None and not text[here].isspace():
                start = here
            here += 1
            continue
        if found["comment"]:
            here = _end_of_comment(text, here) if found["comment"] == "/*" else found.end()
            continue
        if found["end"] and depth == 0:
            if start is not None:
                yield text[start:here].rstrip()
            start, here = None, found.end()
            continue
        start = here if start is None else start
        # The body of a function in the SQL standard's form holds semicolons: BEGIN ATOMIC … END.
        word = (found["word"] or "").upper()
        if word == "ATOMIC" and re.search(r"\bBEGIN\s+$", text[start:here], re.I):
            depth = 1
        elif depth and word in ("CASE", "END"):
            depth += 1 if word == "CASE" else -1
        here = found.end()
        if found["dollar"]:
            close = text.find(found["dollar"], here)
            here = len(text) if close < 0 else close + len(found["dollar"])
    if start is not None and text[start:].strip():
        yield text[start:].rstrip()


def _end_of_comment(text: str, start: int) -> int:
    """Past a /* comment */, which PostgreSQL lets nest."""
    depth = 0
    for found in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return start + found.end()
    return len(text)


def _leading_comments(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.strip().startswith("--"):
            if line.strip():
                return
            continue
        yield line.strip()
