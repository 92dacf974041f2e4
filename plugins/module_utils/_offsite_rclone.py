# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Running rclone on one target: its secrets in the environment of the child, its messages turned into sentences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._offsite import Target, environment, options
from ._offsite_errors import explain
from ._offsite_watch import StandstillError, run_watched
from ._pg_repository import BackupError

#: Of the caller's environment, what leads out of a closed network.
_PASSED_ON = ("PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
_NOT_FOUND = 3
_LISTING = ["lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype", "--fast-list"]


class NotThere(BackupError):
    """What was asked for is not on the target."""


class NoAnswer(BackupError):
    """The target does not answer any more: there is no use in asking it for anything else now."""


class Rclone:
    """rclone, ready for one target."""

    def __init__(self, target: Target, program: Sequence[str], env: dict[str, str], passed: tuple[int, ...]) -> None:
        self.target = target
        self._program = program
        self._env = env
        self._passed = passed

    def run(self, *arguments: str, stdin: bytes = b"", extra: Sequence[str] = ()) -> str:
        """Run to the end and return the output; BackupError says in a sentence what failed."""
        command = [*self._program, *arguments[:1], *options(self.target), *extra, *arguments[1:]]
        try:
            status, output, messages = run_watched(command, self._env, self._passed, stdin, self.target.timeout)
        except StandstillError:
            raise NoAnswer(explain(self.target, "i/o timeout", 1)) from None
        if status == _NOT_FOUND or (status and "is a directory or doesn't exist" in messages):
            raise NotThere(explain(self.target, messages, status))
        if status:
            raise BackupError(explain(self.target, messages, status))
        return output

    def files(self, *parts: str) -> dict[str, int]:
        """Path and size of every file below a folder; none when there is no such folder."""
        try:
            listed: list[dict[str, Any]] = json.loads(self.run(*_LISTING, self.target.path(*parts)))
        except NotThere:
            if self.target.type == "s3":  # which has no folders: it is the bucket that is not there
                raise
            return {}
        return {str(entry["Path"]): int(entry["Size"]) for entry in listed}

    def sha256(self, *parts: str) -> dict[str, str]:
        """The sha256 of every file of a folder, of what is read back from there byte by byte."""
        listed = self.run("hashsum", "sha256", "--download", self.target.path(*parts))
        pairs = (line.split(None, 1) for line in listed.splitlines())
        return {name.strip(): digest for digest, name in pairs}

    def write(self, text: str, *parts: str) -> None:
        """Write a small file, whole or not at all where the target can do that."""
        limit = ["--streaming-upload-cutoff=64M"]
        self.run("rcat", self.target.path(*parts), stdin=text.encode(), extra=limit)
        if self.read(*parts) != text:
            raise BackupError(
                f"{self.target.label}: {parts[-1]} is not what was written; check the server's disk, then copy again."
            )

    def read(self, *parts: str) -> str:
        """A small file's content; empty when it is not there."""
        try:
            return self.run("cat", self.target.path(*parts))
        except NotThere:
            return ""

    def remove(self, *parts: str) -> None:
        """Remove one file, or have it gone already."""
        try:
            self.run("deletefile", self.target.path(*parts))
        except NotThere:
            return

    def purge(self, *parts: str) -> None:
        """Remove a folder with all that is in it."""
        try:
            self.run("purge", self.target.path(*parts))
        except NotThere:
            return


@contextmanager
def connected(target: Target, largest: int = 0) -> Iterator[Rclone]:
    """rclone for a target; largest is the size of the largest file that will be sent."""
    program = shutil.which("rclone")
    if program is None:
        raise BackupError("The program rclone is not installed; install the package rclone.")
    check_local(target)
    setpriv = shutil.which("setpriv")
    # An upload of a run that was killed must not go on beside the next one's.
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    base = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    # Go lets its heap grow to twice what is in use; here memory is dearer than the time of collecting it.
    base.update({"LC_ALL": "C", "HOME": "/nonexistent", "GOGC": "20"})
    obscured = _obscure(target, program, base) if target.password else ""
    # The host keys as a file that exists in memory only.
    descriptor = os.memfd_create("known_hosts") if target.known_hosts else None
    try:
        if descriptor is not None:
            os.write(descriptor, target.known_hosts.encode())
        known_hosts = "" if descriptor is None else f"/proc/self/fd/{descriptor}"
        env = environment(target, obscured=obscured, known_hosts_file=known_hosts, largest=largest)
        passed = () if descriptor is None else (descriptor,)
        yield Rclone(target, [*prefix, program], {**base, **env}, passed)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def check_local(target: Target) -> None:
    """A folder that is not there, or not mounted, would be this host's own disk: no second place."""
    if target.type != "local":
        return
    path = Path(target.base)
    if not path.is_dir():
        raise BackupError(f"Offsite target {target.name}: the folder {path} is not there; mount or create it.")
    if target.mounted and not any(folder.is_mount() for folder in (path, *path.parents) if folder != Path("/")):
        raise BackupError(
            f"Offsite target {target.name}: nothing is mounted at {path}; mount it, or set mounted: false."
        )


def _obscure(target: Target, program: str, env: dict[str, str]) -> str:
    """The form in which rclone wants a password; it passes through a pipe, and through no argv."""
    done = subprocess.run(
        [program, "obscure", "-", "--config="],
        env=env,
        input=target.password.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"Offsite target {target.name}: rclone does not take the password; check password.")
    return done.stdout.decode().strip()
