# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Published ports that go on answering while the engine restarts.

The containers live on, but the engine takes its rules away and sets them anew: for about half a second every published
port refuses. Chains of our own hold copies of these rules for that time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ._host_run import Run

HOLD = "QUAYSIDE-HOLD"
BACK = "QUAYSIDE-HOLD-BACK"
#: Rules that nobody took away again, because the process was killed, are taken away by systemd.
LIFETIME = 120
UNIT = "quayside-hold"


def bridges(nat: Sequence[str]) -> list[str]:
    """The bridges that Docker masquerades for."""
    found = (re.match(r"^-A POSTROUTING -s \S+ ! -o (\S+) -j MASQUERADE$", line) for line in nat)
    return sorted({match[1] for match in found if match})


def hold_commands(nat: Sequence[str], rules: Sequence[str]) -> list[list[str]]:
    """The iptables commands that lead connections as Docker's own rules do; none where nothing is published."""
    led = [line.split(" ", 2)[2] for line in nat if re.match(r"^-A DOCKER .*-j DNAT ", line)]
    if not led:
        return []
    commands = [["-t", "nat", "-N", HOLD], ["-t", "nat", "-N", BACK]]
    commands += [["-t", "nat", "-A", HOLD, *rule.split()] for rule in led]
    # What comes from this host itself has to go back through it, also from a loopback address.
    local = ["-m", "addrtype", "--src-type", "LOCAL", "-j", "MASQUERADE"]
    commands += [["-t", "nat", "-A", BACK, "-o", bridge, *local] for bridge in bridges(nat)]
    commands += [["-t", "nat", "-I", "POSTROUTING", "-j", BACK]]
    commands += [["-t", "nat", "-I", chain, *_LOCAL, "-j", HOLD] for chain in _WAYS]
    # Behind DOCKER-USER, which decides first who may come in.
    entries = [line.split(" ", 2)[2] for line in rules if re.match(r"^-A DOCKER -d \S+ .*--dport \d+ -j ACCEPT$", line)]
    forward = [line for line in rules if line.startswith("-A FORWARD ")]
    place = str(forward.index(_ASKED) + 2) if _ASKED in forward else str(len(forward) + 1)
    commands += [["-N", HOLD], *(["-A", HOLD, *rule.split()] for rule in entries)]
    commands += [["-A", HOLD, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"]]
    return [*commands, ["-I", "FORWARD", place, "-j", HOLD]]


_ASKED = "-A FORWARD -j DOCKER-USER"
_LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL")
_WAYS = ("PREROUTING", "OUTPUT")


def release_commands() -> list[list[str]]:
    """The commands that take all of it away again; each may find nothing."""
    commands = [["-t", "nat", "-D", chain, *_LOCAL, "-j", HOLD] for chain in _WAYS]
    commands += [["-t", "nat", "-D", "POSTROUTING", "-j", BACK], ["-D", "FORWARD", "-j", HOLD]]
    for table, chain in (("nat", HOLD), ("nat", BACK), ("filter", HOLD)):
        commands += [["-t", table, "-F", chain], ["-t", table, "-X", chain]]
    return commands


@contextmanager
def held(loopback: bool, run: Run, settle: float = 0.5) -> Iterator[None]:
    """Keep the published ports for as long as the block lasts.

    `loopback`: whether the engine will lead connections from 127.0.0.1 too, which it does without its userland proxy.
    """
    nat = run(["iptables", "-t", "nat", "-S"])[1].splitlines()
    commands = hold_commands(nat, run(["iptables", "-S"])[1].splitlines())
    if not commands:
        yield
        return
    _release(run)
    script = "; ".join(f"iptables -w {' '.join(command)}" for command in release_commands())
    timer = ["systemd-run", "--quiet", f"--unit={UNIT}", f"--on-active={LIFETIME}", "/bin/sh", "-c", script]
    run(timer)
    try:
        if loopback:
            _route_loopback(bridges(nat))
        for command in commands:
            run(["iptables", "-w", *command])
        yield
        # The engine says that it is up a moment before the last port is led again.
        time.sleep(settle)
    finally:
        _release(run)


def _release(run: Run) -> None:
    run(["systemctl", "stop", f"{UNIT}.timer"])
    for command in release_commands():
        run(["iptables", "-w", *command])


def _route_loopback(names: Sequence[str]) -> None:
    for name in names:
        switch = Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet")
        if switch.exists():
            switch.write_text("1\n", encoding="ascii")
