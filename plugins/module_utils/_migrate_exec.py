# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Where a migration tool runs: in one-off containers of the image, or on the host itself. Only I/O."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import _docker_run, _migration
from ._migration import MigrationError


class Place(Protocol):
    """A container's world, or the host's."""

    @property
    def name(self) -> str:
        """How a sentence calls it."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What its files are, as far as it is known without reading them; empty where it is not."""

    @property
    def workdir(self) -> str: ...

    def run(
        self, command: Sequence[str], env: Mapping[str, str], timeout: float, *, offline: bool = False
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr. `offline` for what reads only its own files."""

    def read(self, *paths: str) -> list[dict[str, bytes]]:
        """The files below each path; FileNotFoundError where there is none."""

    def remove_leftovers(self) -> None:
        """End what a killed run left behind. Only under the lock."""


class Image:
    """One-off containers of an image that is on this host."""

    def __init__(
        self, image: str, *, workdir: str | None, user: str | None, network: str | None, labels: Mapping[str, str]
    ) -> None:
        self.name = f"image {image}"
        self.user = user
        self.network = network
        self.labels = labels
        self.planning = {**labels, _migration.ROLE_LABEL: f"{_migration.ROLE}-plan"}
        self.client = _docker_run.connect()
        self.image = _docker_run.image_id(self.client, image)
        own, layers = _docker_run.image_config(self.client, self.image)
        self.given_workdir = workdir
        self.workdir = workdir or own
        self.identity = layers

    def run(
        self, command: Sequence[str], env: Mapping[str, str], timeout: float, *, offline: bool = False
    ) -> tuple[int, str, str]:
        return _docker_run.run_once(
            self.client,
            self.image,
            command,
            env=env,
            timeout=timeout,
            labels=self.planning if offline else self.labels,
            workdir=self.given_workdir,
            user=self.user,
            # An interface of its own is a third of what it takes to start a container.
            network="none" if offline else self.network,
            init=not offline,
        )

    def read(self, *paths: str) -> list[dict[str, bytes]]:
        return _docker_run.read_files(self.client, self.image, paths, labels=self.planning)

    def remove_leftovers(self) -> None:
        for labels in (self.labels, self.planning):
            _docker_run.remove_leftovers(self.client, labels, now=time.time())


@dataclass(frozen=True)
class Host:
    """The host itself: processes of a user, that end with ours."""

    given_workdir: str | None
    user: str | None
    identity: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"folder {self.workdir} of this host"

    @property
    def workdir(self) -> str:
        return self.given_workdir or "/"

    def run(
        self, command: Sequence[str], env: Mapping[str, str], timeout: float, *, offline: bool = False
    ) -> tuple[int, str, str]:
        account = self._account()
        # The child dies with us even when we are killed; what it has started itself goes with its process group.
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if self.user is not None:
            prefix += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": account.pw_dir, "USER": account.pw_name}
        try:
            process = subprocess.Popen(
                # It starts only when its watcher is there.
                [*prefix, "--", "/bin/sh", "-c", 'read -r _ && exec "$@" < /dev/null', "sh", *command],
                env={**base, "LANG": "C.UTF-8", **env},
                cwd=self.workdir,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as exc:
            raise MigrationError(
                f"`{command[0]}` cannot be run in {self.workdir} on this host ({exc.strerror}: {exc.filename}); "
                f"correct command or workdir, or name an image to run it in."
            ) from exc
        with _killed_with_us(process):
            try:
                stdout, stderr = process.communicate(b"start\n", timeout=timeout)
            except subprocess.TimeoutExpired as exc:
                _kill_group(process)
                stdout, stderr = process.communicate()
                raise _docker_run.RunTimeout(
                    f"`{' '.join(command)}` was killed after {timeout:g} s", _text(stdout), _text(stderr)
                ) from exc
        return process.returncode, _text(stdout), _text(stderr)

    def read(self, *paths: str) -> list[dict[str, bytes]]:
        return [_read(Path(self.workdir, path)) for path in paths]

    def remove_leftovers(self) -> None:
        """Nothing of a killed run is left, as its processes ended with it."""

    def _account(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.user) if self.user is not None else pwd.getpwuid(os.getuid())
        except KeyError as exc:
            raise MigrationError(
                f"user is {self.user!r}, which this host does not have; create it or correct user."
            ) from exc


def _read(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    if not path.is_dir():
        raise FileNotFoundError(2, "there is no such file or folder on this host", str(path))
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@contextmanager
def _killed_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process group at the end, also when this process gets no chance to: then a watcher's pipe breaks."""
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || kill -KILL "-$1"', "sh", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        _kill_group(process)
        process.wait()
        with suppress(OSError):
            watcher.communicate(b"ended\n")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _text(output: bytes) -> str:
    return output.decode("utf-8", errors="replace")
