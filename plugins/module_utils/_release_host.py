# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The host's side of an app: its containers, through the Docker API, and their connections. Only I/O."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ._app_containers import HOOK, LABEL, LIVE_WEIGHT, Container, Wanted, environment, host_options, labels, recognised
from ._release import Stored, serving
from ._release_records import Records

try:
    import docker
    import docker.errors
    import requests

    DOCKER_ERROR: str | None = None
except ImportError as error:
    DOCKER_ERROR = str(error)

LOG_LINES = 50
MAX_STOPS = 8  # at a time; fewer than the connections that the Docker client keeps
KILLED = 137  # 128 + SIGKILL
_ESTABLISHED = "01"  # the state's number in /proc/net/tcp


class ReleaseError(Exception):
    """A release could not be made live; the text says why, and what was done about it."""


#: What a run on a host may end with, besides success.
EXPECTED: tuple[type[Exception], ...] = (ReleaseError, OSError, subprocess.SubprocessError)
if not DOCKER_ERROR:
    EXPECTED += (docker.errors.DockerException, requests.RequestException)


class AppHost:
    """One app on this host.

    Args:
        name: the app's name.
        notify: called with a sentence for each thing that went on but deserves a warning.
    """

    def __init__(self, name: str, notify: Callable[[str], None]) -> None:
        self.name = name
        self.notify = notify
        self.records = Records(name)
        self.api: Any = docker.from_env(version="auto").api

    # What is there

    def containers(self) -> list[Container]:
        """Return the app's containers of both slots, running or not."""
        found = []
        for item in self.api.containers(all=True, filters={"label": f"{LABEL}app={self.name}"}):
            with contextlib.suppress(docker.errors.NotFound):
                found.append(recognised(self.api.inspect_container(item["Id"])))
        return [container for container in found if container is not None]

    def live(self) -> str:
        """Return the release that has the traffic, or nothing."""
        return next((c.release for c in serving(self.containers(), self.records.live_slot())), "")

    def image_id(self, reference: str) -> str | None:
        """Return the id of an image that is on the host."""
        try:
            return str(self.api.inspect_image(reference)["Id"])
        except docker.errors.ImageNotFound:
            return None

    def remove_images(self, images: Iterable[str]) -> list[str]:
        """Remove images unless another app or container needs them, and return the ids of those that went."""
        removed = []
        for image in sorted(set(images) - self.records.images_of_other_apps()):
            with contextlib.suppress(docker.errors.ImageNotFound):
                try:
                    for tag in self.api.inspect_image(image)["RepoTags"] or [image]:
                        self.api.remove_image(tag)
                    removed.append(image)
                except docker.errors.APIError as error:
                    self.notify(f"image {image} stays: {error.explanation}")
        return removed

    # Containers come

    def network(self) -> str:
        """Return the app's own network, made if it is not there."""
        name = f"quayside-{self.name}"
        if not self.api.networks(names=[f"^{name}$"]):
            self.api.create_network(name, driver="bridge", labels={f"{LABEL}app": self.name})
        return name

    def create(self, stored: Stored, item: Wanted, slot: str, release: str) -> str:
        """Create a container in its sandbox, and return its name."""
        name = item.name(self.name, slot, release)
        app = stored.app
        try:
            self.api.create_container(
                stored.image_id,
                name=name,
                command=list(item.command) if item.command else None,
                environment=environment(app, stored.secrets, release, slot),
                labels=labels(self.name, slot, item, release),
                user=app["user"],
                ports=[app["port"]] if item.port is not None else None,
                stop_timeout=app["stop_timeout"],
                host_config=self.api.create_host_config(network_mode=self.network(), **host_options(app, item)),
            )
        except docker.errors.APIError as error:
            raise ReleaseError(f"container {name} can't be created: {error.explanation or error}") from error
        return name

    def start(self, name: str) -> None:
        try:
            self.api.start(name)
        except docker.errors.APIError as error:
            raise ReleaseError(f"container {name} does not start: {error.explanation or error}") from error

    def run_hook(self, stored: Stored, slot: str, release: str, hook: str) -> None:
        """Run one of the app's hooks to its end, in a container of the release.

        Raises:
            ReleaseError: it failed, or took too long.
        """
        timeout = stored.app["hooks"]["timeout"]
        name = self.create(stored, Wanted(hook, 1, tuple(stored.app["hooks"][hook]), kind=HOOK), slot, release)
        try:
            self.start(name)
            try:
                code = int(self.api.wait(name, timeout=timeout)["StatusCode"])
            except requests.RequestException as error:
                raise ReleaseError(f"hook {hook} took longer than {timeout} s.\n{self.last_lines(name)}") from error
            if code:
                raise ReleaseError(f"hook {hook} ended with exit code {code}.\n{self.last_lines(name)}")
        finally:
            self.remove([name])

    def keep(self, names: Iterable[str], *, kept: bool = True) -> None:
        """Let containers come back when they exit, and at boot, and give them their full weight; or no more."""
        weight = {"cpu_shares": LIVE_WEIGHT} if kept else {}
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.update_container(name, restart_policy={"Name": "unless-stopped" if kept else "no"}, **weight)

    def resume(self, names: Iterable[str]) -> None:
        """Start containers again that were stopped."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.start(name)
                self.keep([name])

    # Containers go

    def remove(self, names: Iterable[str]) -> None:
        """Remove containers at once, running or not."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(name, force=True, v=True)

    def remove_network(self) -> None:
        """Remove the app's own network, unless something that is not the app's is in it."""
        network = f"quayside-{self.name}"
        try:
            self.api.remove_network(network)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as error:
            self.notify(f"network {network} stays: {error.explanation}")

    def stop(self, names: Iterable[str], stop_timeout: int) -> None:
        """Stop containers with SIGTERM, for good; all at once, so that many take no longer than the slowest."""
        self._each(names, lambda name: self._stop_one(name, stop_timeout))

    def retire(self, names: Iterable[str], stop_timeout: int) -> None:
        """Stop containers with SIGTERM, and remove them."""

        def retire_one(name: str) -> None:
            self._stop_one(name, stop_timeout)
            self.api.remove_container(name, v=True)

        self._each(names, retire_one)

    def _each(self, names: Iterable[str], act: Callable[[str], None]) -> None:
        """Do something to each container that is still there, to several at a time."""

        def act_on(name: str) -> None:
            with contextlib.suppress(docker.errors.NotFound):
                act(name)

        with ThreadPoolExecutor(MAX_STOPS) as pool:
            for _done in pool.map(act_on, names):
                pass

    def _stop_one(self, name: str, stop_timeout: int) -> None:
        # First, so that a reboot in the meantime does not revive it.
        self.api.update_container(name, restart_policy={"Name": "no"})
        if not self.api.inspect_container(name)["State"]["Running"]:
            return
        # The call lasts as long as the stop does.
        self.api.stop(name, timeout=stop_timeout)
        if self.api.inspect_container(name)["State"]["ExitCode"] == KILLED:
            self.notify(
                f"container {name} did not end on SIGTERM within {stop_timeout} s and was killed (exit code {KILLED}): "
                "its command must handle SIGTERM itself (exec form, no shell in between)"
            )

    def retire_later(self, names: Iterable[str], release: str, seconds: int, stop_timeout: int) -> None:
        """Have systemd retire a warm release, unless it has got the traffic back by then."""
        names = list(names)
        self.records.set_warm(release, time.time() + seconds)
        script = (
            f'grep -q "\\"{release}\\"" {self.records.warm_file} || exit 0; '
            f"docker stop --time {stop_timeout} {' '.join(names)}; docker rm --volumes {' '.join(names)}; "
            f"rm -f {self.records.warm_file}"
        )
        command = [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit=quayside-retire-{self.name}.{release}",
            f"--on-active={seconds}",
        ]
        # Under the lock of the deploys: what the script asks must stay true while it acts.
        command += ["flock", str(self.records.lock_file), "sh", "-c", script]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def retire_now_instead(self) -> None:
        """No release is kept warm from now on; whoever calls this decides what becomes of its containers."""
        if self.records.warm_file.exists():
            stop = ["systemctl", "stop", f"quayside-retire-{self.name}.*.timer"]
            subprocess.run(stop, check=False, capture_output=True, timeout=30)
            self.records.set_warm("", 0)

    # What they say

    def state(self, name: str) -> Mapping[str, Any]:
        """Return a container's state as the Docker API gives it, with its RestartCount."""
        details = self.api.inspect_container(name)
        return {**details["State"], "RestartCount": details["RestartCount"]}

    def last_lines(self, name: str) -> str:
        """Return a container's last lines of output, with a heading."""
        try:
            text = self.api.logs(name, tail=LOG_LINES).decode("utf-8", errors="replace").strip()
        except docker.errors.APIError:
            text = ""
        return f"Last lines of {name}:\n{text or '(none)'}"

    def tell_exits(self, names: Iterable[str]) -> None:
        """Warn of containers that do not stay up."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                state = self.state(name)
                if not state["Running"] or state["RestartCount"]:
                    code = state["ExitCode"]
                    self.notify(f"container {name} does not stay up (exit code {code}). {self.last_lines(name)}")

    def drain(self, ports: Iterable[int], seconds: float) -> int:
        """Wait until no connection to the ports is left, and return how many are when time is over."""
        wanted = set(ports)
        deadline = time.monotonic() + seconds
        while (left := _connections(wanted)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def open_host(name: str, notify: Callable[[str], None]) -> AppHost | None:
    """Return the app's host, or None where there is no Docker yet."""
    if DOCKER_ERROR:
        return None
    try:
        return AppHost(name, notify)
    except (docker.errors.DockerException, requests.RequestException):
        return None


def _connections(ports: set[int]) -> int:
    """Count the established connections from this host to the given local ports."""
    count = 0
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), Path(path).open() as lines:
            next(lines)
            for line in lines:
                _number, _local, remote, state = line.split()[:4]
                count += state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) in ports
    return count
