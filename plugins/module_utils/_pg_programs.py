# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""PostgreSQL's client programs on this host: which there are, and running one to its end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ._database_url import DatabaseUrl
from ._pg_client import explain
from ._pg_repository import BackupError

CLIENTS = Path("/usr/lib/postgresql")
CONNECT_TIMEOUT = "10"
APPLICATION_NAME = "quayside-backup"
#: Seconds between two looks of a watcher.
_POLL = 0.25
#: Capabilities that let another user read what is root's alone, the smaller one first, and their bits.
_READING = {"dac_read_search": 1 << 2, "dac_override": 1 << 1}
_PROBE = (
    "SELECT pg_catalog.current_setting('server_version_num') || '|' || "
    "pg_catalog.current_setting('server_version') || '|' || "
    "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
)


@dataclass(frozen=True)
class Server:
    """What a server says about itself."""

    version: str
    major: int
    superuser: bool
    system_identifier: str = ""


def installed_clients() -> list[int]:
    """Majors of the client packages on this host."""
    found = (path.parent.parent.name for path in CLIENTS.glob("*/bin/pg_dump"))
    return sorted(int(major) for major in found if major.isdigit())


def tool(major: int, name: str) -> str:
    """The path of a client program."""
    return str(CLIENTS / str(major) / "bin" / name)


def probe(url: DatabaseUrl) -> Server:
    """Connect once and ask who answers."""
    clients = installed_clients()
    if not clients:
        raise BackupError(f"No PostgreSQL client is installed below {CLIENTS}; install the package postgresql-client.")
    command = [tool(clients[-1], "psql"), "-XAtqw", "-c"]
    # Managed servers deny the first: psql goes on, and its exit status is that of the last.
    command += ["SELECT system_identifier FROM pg_catalog.pg_control_system()", "-c", _PROBE]
    try:
        output = run(command, url)
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


def socket_user(url: DatabaseUrl | None) -> str | None:
    """The OS user to be on a socket, as root: whom the server takes for the URL's user by peer authentication."""
    if url is None or os.geteuid() != 0 or not url.host.startswith("/") or url.user == "root":
        return None
    with suppress(KeyError):
        return pwd.getpwnam(url.user).pw_name
    return None


def run(
    command: Sequence[str],
    url: DatabaseUrl | None = None,
    *,
    user: str | None = None,
    watch: Callable[[], None] | None = None,
    output: IO[bytes] | None = None,
) -> str:
    """Run a client to its end and return its output, or BackupError with what it said.

    Its password is in a file that exists in memory only, so no kill leaves it behind. `watch` is called all the while;
    what it raises ends the client. `output` receives the output in place of the caller: whoever the client runs as, it
    then needs no right to the folder.
    """
    with _started(command, url, user, output) as (process, errors):
        while True:
            try:
                written, _none = process.communicate(timeout=None if watch is None else _POLL)
                break
            except subprocess.TimeoutExpired:
                if watch is not None:
                    watch()
        _check(process, errors, url)
    return (written or b"").decode("utf-8", "replace")


@contextmanager
def reading(command: Sequence[str]) -> Iterator[IO[bytes]]:
    """The output of a client that needs no server, as a stream; BackupError at the end if it failed."""
    with _started(command, None, None, None) as (process, errors):
        if process.stdout is not None:
            yield process.stdout
        process.wait()
        _check(process, errors, None)


def _check(process: subprocess.Popen[bytes], errors: IO[bytes], url: DatabaseUrl | None) -> None:
    if process.returncode < 0:
        raise BackupError(f"it was ended by signal {-process.returncode}")
    if process.returncode:
        errors.seek(0)
        said = errors.read(1 << 16).decode("utf-8", "replace")
        raise BackupError(explain(said, url.password if url else ""))


@contextmanager
def _started(
    command: Sequence[str], url: DatabaseUrl | None, user: str | None, output: IO[bytes] | None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    user = user or socket_user(url)
    with _password_file(url, user) as passfile, _in_memory("messages") as errors:
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "PGAPPNAME": APPLICATION_NAME}
        env["PGCONNECT_TIMEOUT"] = CONNECT_TIMEOUT
        if url is not None:
            env.update(url.pinned().libpq_env(f"/proc/self/fd/{passfile}"))
        try:
            process = subprocess.Popen(
                [*_wrapper(user), *command],
                env=env,
                pass_fds=() if passfile is None else (passfile,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if output is None else output,
                stderr=errors,
            )
        except OSError as error:
            raise BackupError(f"{command[0]} does not start: {error.strerror}") from None
        try:
            yield process, errors
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _wrapper(user: str | None) -> list[str]:
    """What runs before a client: it dies with us, or a run that was killed would go on writing; and is `user`."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user is None:
            return []
        raise BackupError(f"The program setpriv is missing, which makes a client run as {user}; install util-linux")
    options = ["--pdeathsig", "KILL"]
    if user is not None:
        options += [f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--init-groups"]
        # So that pg_restore can read a repository that is root's alone.
        held = _capabilities()
        for name in [name for name, bit in _READING.items() if held & bit][:1]:
            options += [f"--inh-caps=+{name}", f"--ambient-caps=+{name}"]
    return [setpriv, *options, "--"]


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


@contextmanager
def _password_file(url: DatabaseUrl | None, user: str | None) -> Iterator[int | None]:
    if url is None:
        yield None
        return
    descriptor = os.memfd_create("pgpass")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, url.pgpass_line().encode())
        if user is not None:
            os.fchown(descriptor, pwd.getpwnam(user).pw_uid, -1)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _in_memory(name: str) -> Iterator[IO[bytes]]:
    with os.fdopen(os.memfd_create(name), "w+b") as stream:
        yield stream
