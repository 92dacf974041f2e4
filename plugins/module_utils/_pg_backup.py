# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Taking, proving and removing backups: all that touches disk, processes and the server.

The modules pg_dump and pg_dump_rotate and the host's own quayside-backup both call these functions.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from ._database_url import DatabaseUrl
from ._files import flush_directory, write_atomically
from ._pg_client import choose_compression, choose_major, compress_argument, count_tables, explain
from ._pg_repository import (
    DRAFT_PREFIX,
    DUMP,
    GLOBALS,
    LOCK,
    MANIFEST,
    TRASH_PREFIX,
    Backup,
    BackupError,
    DumpFile,
    Manifest,
    Table,
    check_content,
    check_name,
    format_time,
    is_id,
    judge,
    new_id,
    read_manifest,
)
from ._pg_rotation import Keep, Plan, plan

CLIENTS = Path("/usr/lib/postgresql")
CONNECT_TIMEOUT = "10"
_CHUNK = 1 << 20
_PROBE = (
    "SELECT current_setting('server_version_num') || '|' || current_setting('server_version') || '|' || "
    "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to dump. Times in seconds; wait is for another run on the same name to end."""

    compression: str = "auto"
    lock_wait_timeout: int = 60
    wait: int = 300
    allow_empty: bool = False


@dataclass(frozen=True)
class Server:
    """What a server says about itself."""

    version: str
    major: int
    superuser: bool
    system_identifier: str = ""


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def quiet(_message: str) -> None:
    """The log of a caller that wants none."""


# ----------------------------------------------------------------------------------------------------- clients


def installed_clients() -> list[int]:
    """Majors of the client packages on this host."""
    found = (path.parent.parent.name for path in CLIENTS.glob("*/bin/pg_dump"))
    return sorted(int(major) for major in found if major.isdigit())


def probe(url: DatabaseUrl) -> Server:
    """Connect once and ask who answers."""
    clients = installed_clients()
    if not clients:
        raise BackupError(f"No PostgreSQL client is installed below {CLIENTS}; install the package postgresql-client.")
    command = [_tool(clients[-1], "psql"), "-XAtqw", "-c"]
    # Managed servers deny the first: psql goes on, and its exit status is that of the last.
    command += ["SELECT system_identifier FROM pg_catalog.pg_control_system()", "-c", _PROBE]
    try:
        output = _run(command, url)
    except BackupError as error:
        raise BackupError(f"Cannot use {url.redacted}: {error}.") from None
    lines = output.split()  # a version such as "15.8 (Debian ...)" is cut here, which is all we want of it
    answer = next((line for line in lines if "|" in line), "0||")
    number, version, *_rest = answer.split("|")
    return Server(
        version=version,
        major=int(number) // 10000,
        superuser=output.rstrip().endswith("|true"),
        system_identifier=lines[0] if lines[0].isdigit() else "",
    )


def _tool(major: int, name: str) -> str:
    return str(CLIENTS / str(major) / "bin" / name)


def _run(command: Sequence[str], url: DatabaseUrl | None = None) -> str:
    """Run a client to its end; its password is in a file that exists in memory only, so no kill leaves it behind."""
    # The child dies with us: a run that was killed must not go on writing into a folder that the next one sweeps.
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    with _password_file(url) as passfile:
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "PGAPPNAME": "quayside-backup"}
        env["PGCONNECT_TIMEOUT"] = CONNECT_TIMEOUT
        if url is not None:
            env.update(url.libpq_env(f"/proc/self/fd/{passfile}"))
        done = subprocess.run(
            [*prefix, *command],
            env=env,
            pass_fds=() if passfile is None else (passfile,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    if done.returncode:
        reason = explain(done.stderr, url.password if url else "")
        if done.returncode < 0:
            reason = f"it was ended by signal {-done.returncode}"
        raise BackupError(reason)
    return done.stdout


@contextmanager
def _password_file(url: DatabaseUrl | None) -> Iterator[int | None]:
    if url is None:
        yield None
        return
    descriptor = os.memfd_create("pgpass")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, url.pgpass_line().encode())
        yield descriptor
    finally:
        os.close(descriptor)


# -------------------------------------------------------------------------------------------------- repository


def list_names(root: str) -> list[str]:
    """Names that have a folder in the repository."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path.name for path in Path(root).iterdir() if path.is_dir() and not path.name.startswith("."))
    return []


def load(root: str, name: str) -> list[Backup]:
    """All backups of a name, oldest first; damaged and foreign ones too, with their problem."""
    folder = Path(root) / check_name(name)
    try:
        entries = sorted(path for path in folder.iterdir() if is_id(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [_load_one(path) for path in entries]


def _load_one(path: Path) -> Backup:
    try:
        manifest = read_manifest((path / MANIFEST).read_text("utf-8"), path.name)
        sizes = {entry.name: entry.stat().st_size for entry in path.iterdir()}
    except BackupError as error:
        return Backup(path.name, problem=str(error))
    except FileNotFoundError:
        return Backup(path.name, problem="its manifest is missing")
    except (OSError, UnicodeDecodeError):
        return Backup(path.name, problem="its manifest cannot be read")
    return judge(path.name, manifest, sizes)


@contextmanager
def _locked(root: str, name: str, wait: int) -> Iterator[Path]:
    """The folder of a name, made private, swept of what killed runs left, and ours alone."""
    folder = Path(root) / check_name(name)
    try:
        for path in (Path(root), folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(f"Cannot write to {folder}: {error.strerror}; choose a root that root can write.") from None
    try:
        _wait_for_lock(descriptor, name, wait)
        for path in folder.iterdir():
            if path.name.startswith((DRAFT_PREFIX, TRASH_PREFIX)):
                shutil.rmtree(path, ignore_errors=True)
        yield folder
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, name: str, wait: int) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BackupError(
                    f"Another run works on the backups of {name} for more than {wait} s; try when it has ended."
                ) from None
            time.sleep(0.2)


# ------------------------------------------------------------------------------------------------------ backup


def take(root: str, name: str, url: DatabaseUrl, options: Options, log: Log = quiet) -> Manifest:
    """One verified backup, complete under its id or not there at all; earlier ones are left as they are."""
    check_name(name)
    started = time.monotonic()
    server = probe(url)
    client = choose_major(installed_clients(), server.major)
    compression = choose_compression(options.compression, client, server.major)
    with _locked(root, name, options.wait) as folder:
        earlier = load(root, name)
        now = utc_now()
        manifest = Manifest(
            id=new_id(now, (backup.id for backup in earlier)),
            name=name,
            created_at=format_time(now),
            database=url.database,
            host=url.host,
            port=url.port,
            server_version=server.version,
            client_version=client,
            compression=compression,
            system_identifier=server.system_identifier,
        )
        draft = folder / (DRAFT_PREFIX + manifest.id)
        try:
            draft.mkdir(mode=0o700)
            log(f"{name}: dumping {url.redacted} (PostgreSQL {server.version}, {compression})")
            notes = _dump(draft, manifest, url, server, options)
            manifest = replace(manifest, tables=_list_tables(draft, client), notes=notes)
            check_content(len(manifest.tables), earlier, options.allow_empty)
            log(f"{name}: verifying {manifest.id}")
            manifest = replace(_prove(draft, manifest), duration=round(time.monotonic() - started, 3))
            write_atomically(draft / MANIFEST, manifest.to_json())
            draft.rename(folder / manifest.id)
            flush_directory(folder)
        except OSError as error:
            raise BackupError(f"The backup of {name} in {folder} failed: {error.strerror}.") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    log(f"{name}: {manifest.id} is verified: {manifest.size} bytes, {len(manifest.tables)} tables")
    return manifest


def _dump(draft: Path, manifest: Manifest, url: DatabaseUrl, server: Server, options: Options) -> tuple[str, ...]:
    """Write the dump and, where the server lets us, the globals; returns what a person should know."""
    old_umask = os.umask(0o077)
    try:
        try:
            _run(
                [
                    _tool(manifest.client_version, "pg_dump"),
                    "--format=custom",
                    compress_argument(manifest.compression, manifest.client_version),
                    f"--lock-wait-timeout={options.lock_wait_timeout * 1000}",
                    "--no-password",
                    f"--file={draft / DUMP}",
                ],
                url,
            )
        except BackupError as error:
            raise BackupError(f"pg_dump of {url.redacted} failed: {error}.") from None
        command = [_tool(manifest.client_version, "pg_dumpall"), "--globals-only", "--no-password"]
        command += [f"--database={url.database}", f"--file={draft / GLOBALS}"]
        if not server.superuser:
            command.append("--no-role-passwords")
        try:
            _run(command, url)
        except BackupError as error:
            (draft / GLOBALS).unlink(missing_ok=True)
            return (f"roles and tablespaces are not in it: {error}",)
    finally:
        os.umask(old_umask)
    return () if server.superuser else ("roles are without passwords: only a superuser may read those",)


def _list_tables(folder: Path, client: int) -> tuple[Table, ...]:
    if not (folder / DUMP).stat().st_size:
        raise BackupError("pg_dump succeeded but wrote nothing; nothing was kept.")
    try:
        listing = _run([_tool(client, "pg_restore"), "--list", str(folder / DUMP)])
        return tuple(Table("", "", 0) for _ in range(count_tables(listing)))
    except BackupError as error:
        raise BackupError(f"The dump cannot be read back: {error}.") from None


def _prove(folder: Path, manifest: Manifest) -> Manifest:
    """Everything on disk, every file hashed, the whole dump decoded; else BackupError."""
    names = [name for name in (DUMP, GLOBALS) if (folder / name).exists()]
    files = tuple(_fingerprint(folder / name) for name in names)
    _decode(folder / DUMP, manifest.client_version)
    return replace(manifest, files=files, verified_at=format_time(utc_now()), damage="")


def _fingerprint(path: Path) -> DumpFile:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
        os.fsync(stream.fileno())
        return DumpFile(path.name, stream.tell(), digest.hexdigest())


def _decode(path: Path, client: int) -> None:
    """Only this finds a custom dump that was cut or flipped: pg_restore --list reads no further than its head."""
    try:
        _run([_tool(client, "pg_restore"), "--file=/dev/null", str(path)])
    except BackupError as error:
        raise BackupError(f"The dump does not decode: {error}.") from None


def verify(root: str, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """Prove a backup again, and write into its manifest what was found, so that rotation knows."""
    with _locked(root, name, wait=60) as folder:
        backup = next((found for found in load(root, name) if found.id == backup_id), None)
        if backup is None:
            raise BackupError(f"{name} has no backup {backup_id[:40]}; list shows those that there are.")
        if backup.manifest is None:
            return backup
        damage = _find_damage(folder / backup_id, backup.manifest)
        proven = replace(backup.manifest, damage=damage, verified_at=format_time(utc_now()))
        if damage:
            proven = replace(proven, verified_at=backup.manifest.verified_at)
        write_atomically(folder / backup_id / MANIFEST, proven.to_json())
        log(f"{name}: {backup_id} {'is damaged: ' + damage if damage else 'is verified'}")
        return _load_one(folder / backup_id)


def _find_damage(folder: Path, manifest: Manifest) -> str:
    try:
        for file in manifest.files:
            if _fingerprint(folder / file.name) != file:
                return f"{file.name} is not the file that was proven: size or sha256 differ"
        _decode(folder / DUMP, choose_major(installed_clients(), manifest.client_version))
    except OSError as error:
        return f"a file cannot be read: {error.strerror}"
    except BackupError as error:
        return str(error).rstrip(".")
    return ""


def rotate(root: str, name: str, keep: Keep, minimum: int, *, wait: int = 300, log: Log = quiet) -> Plan:
    """Remove what the policy doesn't keep; each folder loses its name before its files."""
    with _locked(root, name, wait) as folder:
        decided = plan(load(root, name), keep, minimum)
        for backup_id in decided.removed:
            trash = folder / (TRASH_PREFIX + backup_id)
            try:
                (folder / backup_id).rename(trash)
                shutil.rmtree(trash)
            except OSError as error:
                raise BackupError(f"Cannot remove {folder / backup_id}: {error.strerror}.") from None
            log(f"{name}: {backup_id} is removed")
        if decided.removed:
            flush_directory(folder)
        return decided
