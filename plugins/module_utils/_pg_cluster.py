# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A throw-away PostgreSQL server on this host, in which a dump may do what it likes. I/O.

It belongs to a user of its own, sees neither the network nor another process nor what is worth hiding, takes no more
memory and disk than it is given, and dies with the process that started it.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ._database_url import DatabaseUrl
from ._pg_connect import connect
from ._pg_programs import CLIENTS, tool
from ._pg_repository import BackupError
from ._pg_rights import Logins

USER = "quayside-drill"
FOLDER = Path("/var/lib/quayside-drill")
#: Its roles, which are no system user's names, so that root stays root on its socket. The one that loads the dump is no
#: superuser even here.
ADMIN, OWNER = "quayside_admin", "quayside_owner"
#: Where something lies that the server must not look for, or where it could leave something. Empty to it, and closed.
HIDDEN = (
    *("/etc/quayside", "/home", "/media", "/mnt", "/root", "/run", "/srv", "/tmp"),  # noqa: S108
    *("/var/backups", "/var/lib/docker", "/var/tmp"),  # noqa: S108
)
#: Bytes of address space of each of its processes, and how many there may be.
MEMORY, PROCESSES = 2 << 30, 100
START_TIMEOUT = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "30",
    "autovacuum": "off",
    "jit": "off",
    "unix_socket_permissions": "0700",
    "log_min_messages": "fatal",
    "lc_messages": "C",
}
#: Of its arguments up to --, one may lie in another, or be missing.
_HIDE = 'while [ $1 != -- ]; do if [ -d "$1" ]; then mount -t tmpfs -o mode=0 tmpfs "$1"; fi; shift; done; shift'
#: PostgreSQL's shared memory, and a list of processes in which there are no others.
_OWN = "mount -t tmpfs -o mode=1777,size=256m tmpfs /dev/shm; mount -t proc proc /proc"
_POLL = 0.1
_NAME = re.compile(r"cluster-([0-9]+)-[0-9]+")


def server_majors() -> list[int]:
    """The majors of which this host has the server, and not only the clients."""
    found = (path.parent.parent.name for path in CLIENTS.glob("*/bin/initdb"))
    return sorted(int(major) for major in found if major.isdigit())


def choose_server(dumped: int) -> int:
    """The lowest major here that can hold a dump; BackupError says what is missing."""
    majors = server_majors()
    fitting = [major for major in majors if major >= dumped]
    if not fitting:
        found = f"the newest one here is {max(majors)}" if majors else "there is none here"
        raise BackupError(
            f"A throw-away server needs PostgreSQL {dumped} or later on this host, and {found}; install the package "
            f"postgresql-{dumped}."
        )
    missing = [name for name in ("setpriv", "unshare", "prlimit") if shutil.which(name) is None]
    if missing:
        raise BackupError(f"A throw-away server needs {', '.join(missing)}; install the package util-linux.")
    return min(fitting)


@contextmanager
def local_cluster(major: int, disk: int, hidden: Sequence[str] = ()) -> Iterator[Logins]:
    """Logins of a new server, which may use `disk` bytes. It is gone at the end, and a killed run's by the next one."""
    user = _user()
    sweep_clusters()
    folder = FOLDER / f"cluster-{os.getpid()}-{time.monotonic_ns()}"
    data, sockets = folder / "data", folder / "socket"
    process: subprocess.Popen[bytes] | None = None
    try:
        for path in (folder, data, sockets):
            path.mkdir(mode=0o700)
            os.chown(path, user.pw_uid, user.pw_gid)
        _initialize(major, data, hidden)
        options = {**_SETTINGS, "unix_socket_directories": str(sockets)}
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            command = [*_sandbox(hidden), tool(major, "postgres"), "-D", str(data), *arguments]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment())
        admin = DatabaseUrl(str(sockets), 5432, ADMIN, "", "postgres", {})
        _wait(process, admin, folder / "log")
        with _watched(process, data, disk):
            yield Logins(admin, DatabaseUrl(str(sockets), 5432, OWNER, "", "postgres", {}))
    except OSError as error:
        raise BackupError(f"A throw-away server cannot be made in {folder}: {error.strerror}.") from None
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def sweep_clusters() -> None:
    """Remove the folders of runs that were killed; their servers died with them."""
    for path in FOLDER.glob("cluster-*"):
        match = _NAME.fullmatch(path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        raise BackupError("A throw-away server needs root, which gives it a user with no rights; run it as root.")
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        raise BackupError(f"The system user {USER} is missing; let the role pg_backup make it.") from None
    # Others may pass through, and look at nothing.
    FOLDER.mkdir(mode=0o711, exist_ok=True)
    FOLDER.chmod(0o711)
    return user


def _initialize(major: int, data: Path, hidden: Sequence[str]) -> None:
    command = [*_sandbox(hidden), tool(major, "initdb"), "-D", str(data), f"--username={ADMIN}", "--auth=trust"]
    command += ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(), timeout=120)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise BackupError(f"A throw-away server cannot be made: {said[:300].rstrip('.')}.")


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def _sandbox(hidden: Sequence[str]) -> list[str]:
    """What runs before the server's programs: it ends with us, has namespaces of its own, and is nobody."""
    folders = sorted({*HIDDEN, *hidden} - {"/"})
    script = f'set -e; mount --make-rprivate /; {_HIDE}; {_OWN}; exec "$@"'
    outside = ["setpriv", "--pdeathsig=KILL", "--", "unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
    limits = ["prlimit", f"--as={MEMORY}", f"--nproc={PROCESSES}", "--core=0", "--"]
    nobody = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
    nobody += ["--bounding-set=-all", "--pdeathsig=KILL", "--"]
    inner = ["nice", "-n", "10", *limits, *nobody]
    return [*outside, "--kill-child=KILL", "--", "sh", "-c", script, "sh", *folders, "--", *inner]


def _wait(process: subprocess.Popen[bytes], admin: DatabaseUrl, log: Path) -> None:
    """Until it answers; then make the role that loads."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            connection = connect(admin)
            break
        except BackupError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
                why = lines[-1][:300] if lines else str(error)
                raise BackupError(f"A throw-away server does not start: {why.rstrip('.')}.") from None
            time.sleep(_POLL)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {OWNER} LOGIN")
    finally:
        connection.close()


@contextmanager
def _watched(process: subprocess.Popen[bytes], data: Path, disk: int) -> Iterator[None]:
    """End the server when it uses more disk than it may, or when hardly any is left."""
    over, done = threading.Event(), threading.Event()

    def look() -> None:
        while not done.wait(1.0):
            found = shutil.disk_usage(data)
            if _size(data) > disk or found.free < found.total // 20:
                over.set()
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    except BackupError:
        # What the clients of a server that was ended say is nothing to go by.
        if not over.is_set():
            raise
    finally:
        done.set()
        thread.join()
    if over.is_set():
        raise BackupError(
            f"The throw-away server used more than the {disk >> 20} MiB of disk that it may, or the disk was full, and "
            "was ended."
        )


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_blocks * 512
    return total
