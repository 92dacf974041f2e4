# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One-off containers that never outlive the process that asked for them. Only I/O."""

from __future__ import annotations

import posixpath
import subprocess
import tarfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

try:
    import docker
    import docker.errors
    import docker.types
    import requests
except ImportError:
    DOCKER_ERROR: str | None = traceback.format_exc()
else:
    DOCKER_ERROR = None

UNTIL_LABEL = "quayside.until"
#: What no command of an app needs, and no container of ours gets.
SANDBOX: Mapping[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": "rw,noexec,nosuid,size=64m"},  # noqa: S108
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
_MAX_READ = 256 * 1024 * 1024


class RunError(Exception):
    """The container could not be run, or not to its end; one sentence."""


class RunTimeout(RunError):
    """It ran too long and was killed. Its output so far is in `stdout` and `stderr`."""

    def __init__(self, message: str, stdout: str, stderr: str) -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr


def connect() -> Any:
    """A client for the local engine; RunError when there is none."""
    try:
        return docker.from_env(version="auto")
    except (docker.errors.DockerException, requests.RequestException, OSError) as exc:
        raise RunError(f"the Docker engine does not answer ({_first(exc)}); install or start it") from exc


def image_id(client: Any, image: str) -> str:
    """The local image's id, so that a moving tag cannot change what runs; RunError when it is not there."""
    try:
        return str(client.images.get(image).id)
    except docker.errors.ImageNotFound as exc:
        raise RunError(f"image {image} is not on this host; pull, build or load it first") from exc


def run_once(
    client: Any,
    image: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    labels: Mapping[str, str] | None = None,
    workdir: str | None = None,
    user: str | None = None,
    network: str | None = None,
    init: bool = True,
) -> tuple[int, str, str]:
    """Run `command` (in place of the image's entrypoint) in a sandbox and return exit code, stdout and stderr.

    The container is removed whatever happens, even when this process is killed.
    """
    try:
        container = client.containers.create(
            image,
            entrypoint=list(command[:1]),
            command=list(command[1:]),
            environment=dict(env),
            labels={**(labels or {}), UNTIL_LABEL: str(int(time.time() + timeout + 60))},
            working_dir=workdir,
            user=user,
            network=network,
            init=init,
            **SANDBOX,
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "4m", "max-file": "1"}),
        )
    except docker.errors.DockerException as exc:
        raise RunError(f"the container of image {image} could not be created ({_first(exc)})") from exc
    with _removed(container):
        try:
            container.start()
            code = int(container.wait(timeout=timeout)["StatusCode"])
        except docker.errors.APIError as exc:
            raise RunError(f"`{command[0]}` could not be started in image {image} ({_first(exc)})") from exc
        except (requests.Timeout, requests.ConnectionError) as exc:
            stdout, stderr = _output(container)
            raise RunTimeout(f"`{' '.join(command)}` was killed after {timeout:g} s", stdout, stderr) from exc
        stdout, stderr = _output(container)
        return code, stdout, stderr


def image_config(client: Any, image: str) -> tuple[str, tuple[str, ...]]:
    """The image's working directory, and its layers, which say more of what it holds than its id does."""
    found = client.images.get(image).attrs
    return found["Config"].get("WorkingDir") or "/", tuple((found.get("RootFS") or {}).get("Layers") or ())


def read_files(client: Any, image: str, paths: Sequence[str], *, labels: Mapping[str, str]) -> list[dict[str, bytes]]:
    """For each absolute path the files below it, by path relative to it, out of a container that never runs.

    A path that is a file itself is there under the empty name. FileNotFoundError where there is none.
    """
    container = client.containers.create(
        image, entrypoint=["/"], command=[], labels={**labels, UNTIL_LABEL: str(int(time.time() + 60))}, network="none"
    )
    with _removed(container):
        return [_read(container, path) for path in paths]


def remove_leftovers(client: Any, labels: Mapping[str, str], *, now: float) -> int:
    """Remove the containers with these labels, and those of any run of the same kind whose time is over."""
    role = next(iter(labels.items()))
    removed = 0
    for container in client.containers.list(all=True, filters={"label": f"{role[0]}={role[1]}"}):
        until = container.labels.get(UNTIL_LABEL, "")
        if labels.items() <= container.labels.items() or (until.isdigit() and int(until) < now):
            with suppress(docker.errors.NotFound):
                container.remove(force=True)
                removed += 1
    return removed


@contextmanager
def _removed(container: Any) -> Iterator[None]:
    """Remove the container at the end, also when this process gets no chance to: then a watcher's pipe breaks."""
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || exec docker rm --force "$1"', "sh", container.id],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
        with suppress(OSError):
            watcher.communicate(b"removed\n")


def _read(container: Any, path: str, links: int = 5) -> dict[str, bytes]:
    try:
        chunks, stat = container.get_archive(path)
    except docker.errors.NotFound as exc:
        raise FileNotFoundError(2, "there is no such file or folder in the image", path) from exc
    if stat.get("linkTarget") and links:
        return _read(container, posixpath.join(posixpath.dirname(path), stat["linkTarget"]), links - 1)
    if int(stat["size"]) > _MAX_READ:
        raise RunError(f"{path} is larger than {_MAX_READ} bytes")
    root = posixpath.basename(posixpath.normpath(path))
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                found[member.name[len(root) :].lstrip("/")] = file.read()
    return found


class _Stream:
    """Chunks as a file that tarfile can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = iter(chunks)
        self.rest = b""
        self.total = 0

    def read(self, size: int) -> bytes:
        while len(self.rest) < size and (chunk := next(self.chunks, b"")):
            self.rest += chunk
            self.total += len(chunk)
            if self.total > _MAX_READ:
                raise RunError(f"a folder to read holds more than {_MAX_READ} bytes")
        found, self.rest = self.rest[:size], self.rest[size:]
        return found


def _output(container: Any) -> tuple[str, str]:
    stdout = container.logs(stdout=True, stderr=False).decode("utf-8", errors="replace")
    stderr = container.logs(stdout=False, stderr=True).decode("utf-8", errors="replace")
    return stdout, stderr


def _first(exc: BaseException) -> str:
    text = str(getattr(exc, "explanation", None) or exc).strip()
    return text.splitlines()[0][:300] if text else type(exc).__name__
