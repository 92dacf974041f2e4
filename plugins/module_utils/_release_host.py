# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The host's side of releases: containers through the Docker API, the flag, the manifests, the probes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ._apps import PORTS_RECORD, flag_path
from ._files import flush_directory, write_atomically, write_json
from ._health import Attempt, Health, judge, wait
from ._http_probe import new_session, probe_http
from ._release import LABEL, Container, Manifest, Stored, Wanted, app_directory, host_options, labels

try:
    import docker
    import docker.errors
    import requests

    DOCKER_ERROR: str | None = None
except ImportError as error:
    DOCKER_ERROR = str(error)

LOG_LINES = 50
MAX_STOPS = 8  # at a time; fewer than the connections that the Docker client keeps
_ESTABLISHED = "01"  # the state's number in /proc/net/tcp


class ReleaseError(Exception):
    """A release could not be made live; the text says why, and what was done about it."""


#: What a run on a host may end with, besides success.
EXPECTED: tuple[type[Exception], ...] = (ReleaseError, OSError)
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
        self.directory = Path(app_directory(name))
        self.releases = self.directory / "releases"
        self.flag = Path(flag_path(name))
        self.api: Any = docker.from_env(version="auto").api

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the app's deploy lock. The kernel lets go of it when this process ends, however it ends.

        Raises:
            ReleaseError: another run holds it.
        """
        self.releases.mkdir(parents=True, exist_ok=True, mode=0o700)
        # nginx has to see the flag, and nothing else: no listing for others.
        self.directory.chmod(0o711)
        with (self.directory / "lock").open("a+", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                stream.seek(0)
                raise ReleaseError(
                    f'app "{self.name}": another deploy is running ({stream.read().strip() or "owner unknown"}); '
                    "wait for it to end and run again."
                ) from error
            stream.truncate(0)
            stream.write(time.strftime("since %Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            stream.flush()
            yield

    # What is there

    def live_slot(self) -> str:
        return "green" if self.flag.exists() else "blue"

    def containers(self) -> list[Container]:
        """Return the app's containers of both slots, running or not."""
        found = []
        for item in self.api.containers(all=True, filters={"label": f"{LABEL}app={self.name}"}):
            label = {key[len(LABEL) :]: value for key, value in item["Labels"].items() if key.startswith(LABEL)}
            if "slot" not in label:
                continue
            details = self.api.inspect_container(item["Id"])
            found.append(
                Container(
                    name=details["Name"].lstrip("/"),
                    slot=label["slot"],
                    process=label["process"],
                    number=int(label["number"]),
                    release=label["release"],
                    running=details["State"]["Running"] and not details["State"]["Restarting"],
                    kept=details["HostConfig"]["RestartPolicy"]["Name"] != "no",
                )
            )
        return found

    def recorded_slot_port(self) -> int:
        """Return the first port of the app's block, as the module app_ports recorded it.

        Raises:
            ReleaseError: none is recorded for the app.
        """
        record = Path(PORTS_RECORD)
        ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
        if self.name not in ports:
            raise ReleaseError(f'app "{self.name}": no ports are recorded for it on this host yet; run site.yml first.')
        return ports[self.name]

    def manifests(self) -> list[Manifest]:
        return [Manifest(**json.loads(path.read_text())) for path in self.releases.glob("*Z-????????.json")]

    def stored(self, release: str) -> Stored | None:
        path = self.releases / f"{release}.env.json"
        return Stored(**json.loads(path.read_text())) if path.exists() else None

    def image_id(self, reference: str) -> str | None:
        """Return the id of an image that is on the host."""
        try:
            return str(self.api.inspect_image(reference)["Id"])
        except docker.errors.ImageNotFound:
            return None

    # Records

    def record(self, manifest: Manifest, stored: Stored | None = None) -> None:
        if stored is not None:
            write_json(self.releases / f"{manifest.release}.env.json", asdict(stored))
        write_json(self.releases / f"{manifest.release}.json", asdict(manifest))

    def finish(self, manifest: Manifest, result: str, steps: Mapping[str, float]) -> None:
        done = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.record(replace(manifest, result=result, finished=done, steps=dict(steps)))

    def forget(self, gone: Iterable[Manifest], images: Iterable[str]) -> list[str]:
        """Remove the records of releases, and their images unless another app or container needs them."""
        needed = set()
        for path in self.directory.parent.glob("*/releases/*Z-????????.json"):
            if path.parent != self.releases:
                needed.add(json.loads(path.read_text())["image_id"])
        removed = []
        for image in sorted(set(images) - needed):
            with contextlib.suppress(docker.errors.ImageNotFound):
                try:
                    for tag in self.api.inspect_image(image)["RepoTags"] or [image]:
                        self.api.remove_image(tag)
                    removed.append(image)
                except docker.errors.APIError as error:
                    self.notify(f"image {image} stays: {error.explanation}")
        for manifest in gone:
            (self.releases / f"{manifest.release}.env.json").unlink(missing_ok=True)
            (self.releases / f"{manifest.release}.json").unlink(missing_ok=True)
        return removed

    # Containers

    def network(self) -> str:
        """Return the app's own network, made if it is not there."""
        name = f"quayside-{self.name}"
        if not self.api.networks(names=[f"^{name}$"]):
            self.api.create_network(name, driver="bridge", labels={f"{LABEL}app": self.name})
        return name

    def start(self, stored: Stored, item: Wanted, slot: str, release: str, environment: Mapping[str, str]) -> str:
        """Create and start one container, and return its name."""
        name = item.name(self.name, slot)
        network = self.network()
        self.api.create_container(
            stored.image_id,
            name=name,
            command=list(item.command) if item.command else None,
            environment=dict(environment),
            labels=labels(self.name, slot, item, release),
            user=stored.app["user"],
            ports=[stored.app["port"]] if item.port is not None else None,
            stop_timeout=stored.app["stop_timeout"],
            host_config=self.api.create_host_config(network_mode=network, **host_options(stored.app, item)),
        )
        try:
            self.api.start(name)
        except docker.errors.APIError as error:
            self.remove([name])
            raise ReleaseError(f"container {name} does not start: {error.explanation or error}") from error
        return name

    def keep(self, names: Iterable[str]) -> None:
        """Let containers come back when they exit, and at boot."""
        for name in names:
            self.api.update_container(name, restart_policy={"Name": "unless-stopped"})

    def remove(self, names: Iterable[str]) -> None:
        """Remove containers that have no traffic, running or not."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(name, force=True, v=True)

    def stop(self, names: Iterable[str], stop_timeout: int) -> None:
        """Stop containers with SIGTERM, for good; all at once, so that many take no longer than the slowest."""

        def stop_one(name: str) -> None:
            with contextlib.suppress(docker.errors.NotFound):
                # First, so that a reboot in the meantime does not revive it.
                self.api.update_container(name, restart_policy={"Name": "no"})
                if not self.api.inspect_container(name)["State"]["Running"]:
                    return
                # The call lasts as long as the stop does.
                self.api.stop(name, timeout=stop_timeout)
                if self.api.inspect_container(name)["State"]["ExitCode"] == 137:
                    self.notify(
                        f"container {name} did not end on SIGTERM within {stop_timeout} s and was killed: its command "
                        "must handle SIGTERM itself (exec form, no shell in between)"
                    )

        with ThreadPoolExecutor(MAX_STOPS) as pool:
            for _done in pool.map(stop_one, names):
                pass

    def tell_exits(self, names: Iterable[str]) -> None:
        """Warn of containers that do not stay up."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                details = self.api.inspect_container(name)
                state = details["State"]
                if not state["Running"] or details["RestartCount"]:
                    self.notify(
                        f"container {name} does not stay up (exit code {state['ExitCode']}). "
                        f"Its last lines:\n{self.log(name) or '(none)'}"
                    )

    def resume(self, names: Iterable[str]) -> None:
        """Start containers again that were stopped."""
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.start(name)
                self.keep([name])

    def retire(self, names: Iterable[str], stop_timeout: int) -> None:
        """Stop containers with SIGTERM, and remove them."""
        names = list(names)
        self.stop(names, stop_timeout)
        for name in names:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(name, v=True)

    def log(self, name: str) -> str:
        """Return a container's last lines."""
        try:
            return str(self.api.logs(name, tail=LOG_LINES).decode("utf-8", errors="replace")).strip()
        except docker.errors.APIError:
            return ""

    # Health

    def gate(self, items: Sequence[Wanted], slot: str, app: Mapping[str, Any], health: Health) -> None:
        """Wait until every web replica of a slot is healthy.

        Raises:
            ReleaseError: one has exited, or is not healthy in time.
        """
        session = new_session()
        # What the app would see behind nginx, so that ALLOWED_HOSTS and redirects to HTTPS do not get in the way.
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
        asked = ""

        def probe_one(item: Wanted, limit: float) -> Attempt:
            nonlocal asked
            asked = item.name(self.name, slot)
            state = self.api.inspect_container(asked)["State"]
            if not state["Running"]:
                message = f"container {asked} exited with code {state['ExitCode']}"
                return Attempt(ok=False, target=asked, error="exited", message=message, final=True)
            url = f"http://127.0.0.1:{item.port}{health.path}"
            answer = probe_http(url, session=session, host_header=app["domains"][0], headers=headers, timeout=limit)
            return judge(answer, health.expect)

        def probe(limit: float) -> Attempt:
            """A pass is one of all replicas together, so that more of them take no longer."""
            for item in items:
                attempt = probe_one(item, limit)
                if not attempt.ok:
                    break
            return attempt

        outcome = _wait(probe, health)
        if not outcome.ok:
            raise ReleaseError(f"{outcome.message}\nLast lines of {asked}:\n{self.log(asked) or '(none)'}")

    def verify(self, app: Mapping[str, Any], health: Health, port: int, seconds: float) -> None:
        """Ask through the public vhost, as a user would.

        Raises:
            ReleaseError: the answer is not the expected one within the given seconds.
        """
        session = new_session()
        url = f"https://{app['domains'][0]}{health.path}"

        def probe(limit: float) -> Attempt:
            # On loopback the route is to be proved, not the certificate: a private CA is none of this host's business.
            answer = probe_http(url, session=session, connect_to=("127.0.0.1", port), timeout=limit, verify=False)
            return judge(answer, health.expect)

        outcome = _wait(probe, replace(health, successes=1, interval=0.1, timeout=seconds))
        if not outcome.ok:
            raise ReleaseError(f"through nginx: {outcome.message}")

    # Traffic

    def flip(self, slot: str) -> None:
        """Make a slot the live one, for every request from now on."""
        if slot == "green":
            write_atomically(self.flag, "", mode=0o644)
        else:
            self.flag.unlink(missing_ok=True)
            flush_directory(self.flag.parent)

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


def _wait(probe: Callable[[float], Attempt], health: Health) -> Any:
    return wait(
        probe,
        successes=health.successes,
        interval=health.interval,
        timeout=health.timeout,
        try_timeout=health.try_timeout,
        clock=time.monotonic,
        sleep=time.sleep,
        eager=True,
    )


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
