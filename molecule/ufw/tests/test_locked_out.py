# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A change that cuts Ansible off, over real SSH: undone by itself, and the run says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from firewall import HOSTS, run, said

UNDO_TIMEOUT = 20
# A firewall behind ufw's back: neither sshd nor its socket tell of it.
TRAP = "-A ufw-before-input -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP"


@pytest.fixture(scope="module")
def cut_off(ssh: Path, container: Callable[[str], Any]) -> Iterator[tuple[str, float]]:
    """What a run says that turns a firewall on which lets nobody in, and how long it takes."""
    for name in HOSTS:
        shell = container(name)
        shell.check_output("ufw --force disable && cp -p /etc/ufw/before.rules /root/before.rules")
        shell.check_output(f"sed -i '/^# End required lines/a {TRAP}' /etc/ufw/before.rules")
    start = time.monotonic()
    ended = run(ssh, ufw_undo_timeout=UNDO_TIMEOUT)
    seconds = time.monotonic() - start
    for name in HOSTS:
        container(name).check_output("cp -p /root/before.rules /etc/ufw/before.rules")
    yield said(ended), seconds
    assert run(ssh).returncode == 0, "it does not converge again"


def test_the_run_says_so(cut_off: tuple[str, float]) -> None:
    told, seconds = cut_off
    assert told.count("the change of ufw was undone, because no new connection got in to confirm it in time") >= len(
        HOSTS
    )
    assert "unreachable=1" not in told
    assert seconds < UNDO_TIMEOUT + 60


def test_the_firewall_is_what_it_was(host: Any, cut_off: tuple[str, float]) -> None:
    assert host.check_output("ufw status") == "Status: inactive"
    assert not host.file("/etc/systemd/system/quayside-ufw-undo.timer").exists


def test_networks_for_ssh_that_leave_this_machine_out_are_refused(ssh: Path, cut_off: tuple[str, float]) -> None:
    ended = run(ssh, ufw_ssh_from=["198.51.100.0/24"])
    assert ended.returncode != 0
    assert "ufw_ssh_from leaves out" in said(ended)
