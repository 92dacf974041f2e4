# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of the Docker engine: what it should be, and what it takes to get there. No I/O."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: What the engine takes over at a reload when the key is there, in every version from 20.10 on. A key that goes away
#: keeps its old value until a restart.
RELOADABLE = frozenset(
    {
        "debug",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "shutdown-timeout",
    }
)
DEFAULT_ROOT = "/var/lib/docker"

Options = Mapping[str, Any]


class DaemonError(ValueError):
    """A configuration that cannot be, or did not work; one sentence."""


@dataclass(frozen=True)
class State:
    """What the host has.

    Attributes:
        file: daemon.json, None where there is none.
        effective: what the running engine was started or reloaded with, as far as that is known.
        ours: the options that an earlier run set.
        info: what the engine says of itself; empty where none runs.
    """

    version: str = ""
    file: Options | None = None
    effective: Options | None = None
    ours: Options = field(default_factory=dict)
    active: bool = False
    boot: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> int:
        return int(self.info.get("ContainersRunning") or 0)


@dataclass(frozen=True)
class Plan:
    """The steps to take. `how` is '' (the engine has it), reload, restart or start."""

    content: Options
    write: bool = False
    how: str = ""
    boot: bool = False
    keep_running: bool = False
    kept: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.write or bool(self.how) or self.boot


def merge(state: State, options: Options) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The wanted options over those that somebody else put into daemon.json; None takes an option out."""
    file = state.file or {}
    foreign = {key: value for key, value in file.items() if key not in options and state.ours.get(key) != value}
    wanted = {key: value for key, value in options.items() if value is not None}
    return {**foreign, **wanted}, tuple(sorted(foreign))


def make_plan(state: State, options: Options, stop_containers: bool = False) -> Plan:
    """Compare.

    Raises:
        DaemonError: the options are none that can be set on this host as it is.
    """
    content, kept = merge(state, options)
    check(content, state.version)
    how = _how(state, content)
    _check_host(state, content, how, stop_containers)
    alive = bool(state.info.get("LiveRestoreEnabled"))
    return Plan(
        content=content,
        write=state.file != content,
        how=how,
        boot=not state.boot,
        keep_running=how == "restart" and state.running > 0 and not alive and bool(content.get("live-restore")),
        kept=kept,
    )


def _how(state: State, content: Options) -> str:
    if not state.active:
        return "start"
    before = state.effective if state.effective is not None else {}
    differing = {key for key in {*before, *content} if before.get(key) != content.get(key)}
    if not differing:
        return ""
    return "reload" if differing <= RELOADABLE and differing <= set(content) else "restart"


def check(content: Options, version: str = "") -> None:
    """What an engine would take and nobody should want."""
    if content.get("ip6tables") and 0 < major(version) < 23:
        raise DaemonError(
            f"docker_daemon_options: ip6tables is on, and Docker {version} does not ask DOCKER-USER over IPv6 (23 was "
            "the first to), so that the ports which containers publish would be open to everybody; leave it out"
        )
    if str(content.get("firewall-backend") or "iptables") != "iptables":
        raise DaemonError(
            f"docker_daemon_options: firewall-backend is '{content['firewall-backend']}', accepted is iptables: "
            "without its chain DOCKER-USER the firewall cannot close the ports that containers publish"
        )
    hosts = content.get("hosts") or []
    open_hosts = [host for host in hosts if str(host).startswith("tcp://") and not content.get("tlsverify")]
    size = (content.get("log-opts") or {}).get("max-size")
    if size is not None and not re.fullmatch(r"[1-9][0-9]*[kmgKMG]?[bB]?", str(size)):
        raise DaemonError(f"docker_log_max_size is '{size}', accepted is a size such as 10m; no container would start")
    if open_hosts:
        raise DaemonError(
            f"docker_daemon_options: hosts has {open_hosts[0]} without tlsverify, which makes everybody who reaches it "
            "root; set tlsverify, tlscacert, tlscert and tlskey, or leave it out"
        )


def _check_host(state: State, content: Options, how: str, stop_containers: bool) -> None:
    before = str((state.effective or {}).get("data-root") or DEFAULT_ROOT)
    after = str(content.get("data-root") or DEFAULT_ROOT)
    there = int(state.info.get("Containers") or 0)
    if state.active and before != after and there:
        raise DaemonError(
            f"docker_data_root is {after}, but {_containers(there)} of this host live in {before} and would be gone; "
            f"stop Docker, move {before} to {after}, and change data-root in /etc/docker/daemon.json with it"
        )
    swarm = (state.info.get("Swarm") or {}).get("LocalNodeState") == "active"
    if swarm and content.get("live-restore"):
        raise DaemonError(
            "this host is part of a swarm, where live-restore cannot be; set docker_live_restore to false"
        )
    if how == "restart" and state.running and not content.get("live-restore") and not stop_containers:
        raise DaemonError(
            f"the new options need a restart of Docker, which without live-restore stops {_containers(state.running)}; "
            "leave docker_live_restore on, or set docker_stop_containers to true for one run"
        )


def _containers(count: int) -> str:
    return "1 container" if count == 1 else f"{count} containers"


def to_text(content: Options) -> str:
    return json.dumps(content, indent=4, sort_keys=True) + "\n"


def parse_version(text: str) -> str:
    """`dockerd --version`: `Docker version 20.10.24+dfsg1, build 297e128`."""
    found = re.search(r"version ([0-9][0-9.]*)", text)
    return found[1] if found else ""


def major(version: str) -> int:
    head = version.split(".", 1)[0]
    return int(head) if head.isdigit() else 0


def flags_of_unit(show: str) -> list[str]:
    """`systemctl show -p ExecStart`: the engine's own flags, without variables and without its name."""
    found = re.search(r"argv\[\]=(.*?) ;", show)
    words = shlex.split(found[1])[1:] if found else []
    return [word for word in words if not word.startswith("$")]


def trial(content: Options, flags: Sequence[str], folder: str, root: str) -> tuple[dict[str, Any], list[str]]:
    """The same configuration for an engine of its own in `folder`: its options and its flags.

    What the unit says on the command line and the file says again is refused by the engine, in the trial as well.
    """
    own = {
        "data-root": root,
        "exec-root": f"{folder}/exec",
        "pidfile": f"{folder}/pid",
        "containerd-namespace": "quayside-trial",
    }
    kept, has_host, skip = [], False, False
    for flag in flags:
        name = flag.split("=", 1)[0].lstrip("-")
        if skip:
            skip = False
        elif name in ("H", "host"):
            has_host, skip = True, "=" not in flag
        elif name in own or name == "config-file":
            skip = "=" not in flag
        else:
            kept.append(flag)
    address = f"unix://{folder}/socket"
    options = {**content, **own}
    if has_host:
        return options, [*kept, "-H", address]
    return {**options, "hosts": [address]}, kept


def reason(said: str) -> str:
    """The engine's own last word, out of its log or of what it printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("unable to configure|failed to|level=fatal|conflict", line)]
    text = (telling or lines or ["it ended without a word"])[-1]
    text = re.sub(r"^.*?(?:failed to start daemon|with file \S+): ", "", text)
    text = re.sub(r'^.*level=\w+ msg="(.*)"$', r"\1", text)
    return " ".join(text.split()).rstrip(".")
