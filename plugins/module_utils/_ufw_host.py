# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw on this host: what it holds, and bringing it to a plan. Only I/O."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from . import _docker_api, _ufw_docker, _ufw_output, _undo
from ._files import make_folder, write_atomically, write_json
from ._host_run import PATH, Run
from ._ufw import AFTER, Plan, State, Wanted, match_of, not_in_force, without_comment

DEFAULTS = Path("/etc/default/ufw")
CONFIG = Path("/etc/ufw/ufw.conf")
STORED = {4: Path("/etc/ufw/user.rules"), 6: Path("/etc/ufw/user6.rules")}
RECORD = Path("/var/lib/quayside/ufw.json")
TOOLS = {4: "iptables", 6: "ip6tables"}


class UfwError(Exception):
    """A step that has to succeed and did not; one sentence."""


def output(run: Run, *argv: str) -> str:
    """What a command prints, or nothing where it fails or is missing."""
    path = shutil.which(argv[0], path=PATH)
    if path is None:
        return ""
    code, text, _err = run([path, *argv[1:]])
    return text if code == 0 else ""


def must(run: Run, *argv: str) -> None:
    """Run a command that has to succeed."""
    code, out, err = run(list(argv))
    if code != 0:
        said = " ".join((err or out).split()) or f"exit code {code}"
        raise UfwError(f"`{' '.join(argv)}` failed: {said}")


def read_connection() -> _ufw_output.Connection | None:
    """The SSH connection of our ancestors: sudo takes SSH_CONNECTION from our own environment.

    The outermost process that has it is the user's own; between it and us stands a sudo, which is root's.
    """
    pid, connection = os.getpid(), None
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
            owner = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError, KeyError):
            break
        if found := re.search(r"(?:^|\x00)SSH_CONNECTION=([^\x00]*)", environment):
            parsed = _ufw_output.parse_connection(found.group(1))
            connection = replace(parsed, user=owner) if parsed else connection
    return connection


def read_ssh_ports(run: Run) -> set[int]:
    """The ports that sshd is configured for, and those that it or systemd for it listens on."""
    found = _ufw_output.ports_of_sshd_config(output(run, "sshd", "-T"))
    found |= _ufw_output.ports_of_listeners(output(run, "ss", "-Hltnp"))
    return found | _ufw_output.ports_of_socket(
        output(run, "systemctl", "show", "ssh.socket", "-p", "ActiveState,Listen")
    )


def read_live(run: Run) -> dict[int, tuple[str, ...]]:
    """By IP version what the kernel has in force; without IPv6 there is only the one."""
    versions = (4, 6) if Path("/proc/sys/net/ipv6").exists() else (4,)
    found = {version: tuple(output(run, TOOLS[version], "-S").splitlines()) for version in versions}
    return {version: lines for version, lines in found.items() if lines}


def read_bridges() -> tuple[str, ...]:
    """The names of Docker's bridges that are not of its own making.

    Raises:
        _ufw_docker.DockerFirewallError: its firewall is not one that can be led.
    """
    backend = (_docker_api.get("/info") or {}).get("FirewallBackend") or {}
    _ufw_docker.check_backend(str(backend.get("Driver") or ""))
    return tuple(_ufw_docker.names_of_bridges(_docker_api.get("/networks") or []))


def read_state(run: Run) -> State:
    if not (shutil.which("ufw", path=PATH) and DEFAULTS.exists() and CONFIG.exists()):
        return State()
    defaults = _ufw_output.parse_shell_file(_text(DEFAULTS))
    config = _ufw_output.parse_shell_file(_text(CONFIG))
    return State(
        installed=True,
        enabled=config.get("ENABLED") == "yes",
        ipv6=defaults.get("IPV6", "yes").lower() == "yes",
        boot=output(run, "systemctl", "is-enabled", "ufw.service").strip() == "enabled",
        policies=_ufw_output.stored_policies(defaults),
        logging=config.get("LOGLEVEL", "low"),
        added=_ufw_output.parse_added(output(run, "ufw", "show", "added")),
        live=read_live(run),
        order={version: _ufw_output.parse_order(_text(path)) for version, path in STORED.items()},
        after={version: _text(Path(path)) for version, path in AFTER.items()},
        recorded=_read_record(),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _read_record() -> list[str]:
    return list(json.loads(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else []


def _record(commands: Iterable[str]) -> None:
    make_folder(RECORD.parent)
    write_json(RECORD, sorted(set(commands)))


def prepare_undo(enabled: bool) -> None:
    """Copy what ufw holds, so that it can be put back whatever happens."""
    files = [DEFAULTS, CONFIG, *STORED.values(), *(Path(path) for path in AFTER.values()), RECORD]
    # `enable` alone leaves chains alone that are loaded already.
    back = "ufw --force enable && ufw reload || ufw --force disable" if enabled else "ufw --force disable"
    if not enabled:
        back += "; for tool in iptables ip6tables; do $tool -F DOCKER-USER; $tool -A DOCKER-USER -j RETURN; done"
    _undo.prepare("ufw", files, [f"{{ {back}; }} || true"])


def check_files(state: State, plan: Plan, run: Run) -> None:
    """Have iptables read what ufw will load: a bad line makes it give up and stay off, after a reboot too."""
    for version in state.live:
        after, before = Path(AFTER[version]), Path(AFTER[version].replace("after", "before"))
        texts = {after: plan.files.get(version, state.after[version]), before: _text(before)}
        for path, text in texts.items():
            if said := _refusal(version, text, run):
                raise UfwError(f"ufw could not load {path}: {said}; correct that line, nothing was changed")


def _refusal(version: int, text: str, run: Run) -> str:
    tool = shutil.which(f"{TOOLS[version]}-restore", path=PATH)
    if tool is None:
        return ""
    whole, added = _ufw_output.with_chains(text)
    with tempfile.NamedTemporaryFile("w", suffix=".rules", encoding="utf-8") as candidate:
        candidate.write(whole)
        candidate.flush()
        code, out, err = run([tool, "--noflush", "--test", candidate.name])
    return "" if code == 0 else _ufw_output.refused_line(err or out, text, added)


def apply_plan(plan: Plan, wanted: Wanted, recorded: Iterable[str], run: Run) -> None:
    """Openings first, refusals and the defaults after them, so that nothing that is to stay is ever cut."""
    _record([*recorded, *(without_comment(rule.command()) for rule in wanted.own)])
    if plan.ipv6:
        write_atomically(DEFAULTS, re.sub(r"(?m)^IPV6=.*$", "IPV6=yes", _text(DEFAULTS)), mode=0o644)
    _apply_rules(plan, run)
    for version, text in plan.files.items():
        write_atomically(Path(AFTER[version]), text, mode=0o640)
    for version in plan.chains:
        _load_chain(wanted, version, run)
    for way, policy in plan.policies:
        must(run, "ufw", "default", policy, way)
    if plan.logging:
        must(run, "ufw", "logging", plan.logging)
    if plan.boot:
        must(run, "systemctl", "enable", "--quiet", "ufw.service")
    if plan.enable:
        must(run, "ufw", "--force", "enable")
    if plan.reload:
        must(run, "ufw", "reload")
    _record(without_comment(rule.command()) for rule in wanted.own)


def _apply_rules(plan: Plan, run: Run) -> None:
    replaced = {match_of(rule.command()) for rule in plan.rules}
    for command in plan.removed:
        if match_of(command) in replaced:
            _delete(command, run)
    for rule in sorted(plan.rules, key=lambda rule: rule.action in ("deny", "reject")):
        must(run, "ufw", *rule.argv())
    for command in plan.removed:
        if match_of(command) not in replaced:
            _delete(command, run)
    for rule in plan.moved:
        _delete(without_comment(rule.command()), run)
        must(run, "ufw", *rule.argv())


def _delete(command: str, run: Run) -> None:
    must(run, "ufw", "--force", "delete", *shlex.split(command))


def _load_chain(wanted: Wanted, version: int, run: Run) -> None:
    """At once and whole: `ufw reload` lets everything in for half a second."""
    with tempfile.NamedTemporaryFile("w", suffix=".rules", encoding="utf-8") as candidate:
        candidate.write(_ufw_docker.block(wanted.chain(version)))
        candidate.flush()
        must(run, f"{TOOLS[version]}-restore", "--noflush", candidate.name)


def verify(wanted: Wanted, run: Run) -> None:
    """Believe the kernel, not ufw: `enable` leaves chains alone that are loaded already."""
    state = read_state(run)
    if not_in_force(state, wanted):
        must(run, "ufw", "reload")
        state = read_state(run)
    wrong = not_in_force(state, wanted)
    if wrong or not state.enabled:
        what = ", ".join(wrong) or "ENABLED=yes in /etc/ufw/ufw.conf"
        raise UfwError(f"ufw took the rules but the kernel does not have them in force: {what}; see `iptables -S`")
