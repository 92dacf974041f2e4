# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Reads, tests, swaps and reloads the nginx configuration of this host."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ._nginx_tree import MAIN_FILE, TREE, Host, Plan, first_error, named, parse_versions, shadowed_name

Run = Callable[[list[str]], tuple[int, str, str]]
ERROR_LOG = Path("/var/log/nginx/error.log")


class NginxError(Exception):
    """What went wrong, in one sentence."""


@dataclass(frozen=True)
class Service:
    active: bool
    enabled: bool


def read_host(binary: str | None, run: Run) -> Host:
    nginx, openssl = parse_versions("".join(run([binary, "-V"])[1:])) if binary else (None, None)
    return Host(nginx=nginx, openssl=openssl, ipv6=Path("/proc/net/if_inet6").exists())


def read_tree(root: Path, others: Sequence[str] = ()) -> dict[str, str]:
    """The files of ours that are there now, and those of others by these patterns."""
    foreign = [path for pattern in others for path in sorted(root.glob(pattern))]
    paths = [root / MAIN_FILE, *sorted((root / TREE).rglob("*")), *foreign]
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8", errors="surrogateescape")
        for path in paths
        if path.is_file()
    }


def read_service(name: str, run: Run) -> Service:
    output = run(["systemctl", "show", "--property=ActiveState,UnitFileState", name])[1]
    return Service(active="ActiveState=active" in output, enabled="UnitFileState=enabled" in output)


def live_revision(port: int) -> str | None:
    """The revision that the running nginx serves, or None where none answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/revision")
        response = connection.getresponse()
        return response.read(64).decode("ascii", "replace").strip() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def candidate(root: Path, plan: Plan, folder: str | None = None) -> Iterator[Path]:
    """A copy of the whole tree as the plan wants it. By default it is on the live tree's file system, to be renamed."""
    temporary = Path(tempfile.mkdtemp(prefix=".quayside-", dir=folder or root))
    try:
        copy = temporary / "candidate"
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(".quayside-*", TREE))
        for path, text in plan.tree.items():
            target = copy / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_text(text, encoding="utf-8", errors="surrogateescape")
            target.chmod(0o644)
        for path in plan.removed:
            (copy / path).unlink(missing_ok=True)
        yield copy
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fault_of(binary: str, copy: Path, root: Path, tree: Mapping[str, str], run: Run) -> str | None:
    """nginx's own line about a candidate tree that it does not accept."""
    code, out, err = run([binary, "-t", "-c", str(copy / MAIN_FILE)])
    output = (out + err).replace(str(copy), str(root))
    if code:
        fault = first_error(output)
        return named(fault, tree) if fault else output.strip() or f"nginx -t exited with {code}"
    return shadowed_name(output, tree)


@contextmanager
def swapped(root: Path, copy: Path, plan: Plan) -> Iterator[None]:
    """Puts the candidate's files in place by renames; an exception in the body puts the old ones back."""
    kept = copy.parent / "old"
    undo: list[tuple[Path, Path | None]] = []
    try:
        for path in [*plan.written, *plan.removed]:
            live, old = root / path, kept / path
            old.parent.mkdir(parents=True, exist_ok=True)
            existed = live.is_symlink() or live.exists()
            if existed:
                os.link(live, old, follow_symlinks=False)
            undo.append((live, old if existed else None))
            if path in plan.tree:
                live.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                (copy / path).replace(live)
            else:
                live.unlink()
        yield
    except BaseException:
        for live, backup in undo:
            if backup:
                backup.replace(live)
            else:
                live.unlink(missing_ok=True)
        raise


def activate(service: str, revision: str | None, port: int, timeout: float, run: Run) -> None:
    """Starts or reloads nginx, and returns only when it serves this revision."""
    start = ERROR_LOG.stat().st_size if ERROR_LOG.exists() else 0
    verb = "reload" if read_service(service, run).active else "start"
    code, out, err = run(["systemctl", verb, service])
    deadline = time.monotonic() + (0 if code else timeout)
    while revision is not None and live_revision(port) != revision:
        if time.monotonic() >= deadline:
            line = first_error(_read_from(ERROR_LOG, start)) or (out + err).strip()
            found = line or f"127.0.0.1:{port}/revision does not answer {revision} after {timeout:g} s"
            raise NginxError(f"systemctl {verb} {service} did not bring the new configuration to life: {found}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Nginx:
    """The nginx of this host."""

    binary: str
    root: Path
    service: str
    status_port: int
    run: Run

    def apply(self, plan: Plan, timeout: float) -> None:
        """Test, swap and activate a plan.

        Raises:
            NginxError: it failed; the old configuration is what nginx runs again.
        """
        was_active = read_service(self.service, self.run).active
        with candidate(self.root, plan) as copy:
            fault = fault_of(self.binary, copy, self.root, plan.tree, self.run)
            if fault:
                raise NginxError(f"nginx refuses the new configuration, the old one stays: {fault}")
            try:
                with swapped(self.root, copy, plan):
                    activate(self.service, plan.revision, self.status_port, timeout, self.run)
            except BaseException:
                if was_active:
                    self.run(["systemctl", "reload", self.service])
                raise


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Keep other runs from changing the tree between a look at it and the change that follows from it."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read_from(path: Path, offset: int) -> str:
    with suppress(OSError), path.open("rb") as log:
        log.seek(offset)
        return log.read(65536).decode("utf-8", "replace")
    return ""
