# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _undo


class Host:
    """Runs the script of an undo for real, and remembers what was asked of systemd."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "undo"
        self.units = folder / "units"
        self.units.mkdir()
        self.state = "inactive"
        self.asked: list[str] = []

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        self.asked.append(" ".join(argv))
        if argv[:2] == ["systemctl", "is-active"]:
            return (0, f"{self.state}\n", "")
        if argv[0] == "/bin/sh":
            # There is no systemctl to be asked here.
            done = subprocess.run([*argv], env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True, text=True)
            return (done.returncode, done.stdout, done.stderr)
        return (0, "", "")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def changed(host: Host, tmp_path: Path) -> tuple[Path, Path]:
    """Two files after a change: one was there before, one was not."""
    old, new = tmp_path / "old.conf", tmp_path / "new.conf"
    old.write_text("before")
    _undo.prepare("ufw", [old, new], [], host.root)
    _undo.arm("ufw", 120, host.run, host.root, host.units)
    old.write_text("after")
    new.write_text("after")
    return old, new


def test_an_undo_puts_every_file_back(host: Host, changed: tuple[Path, Path]) -> None:
    old, new = changed
    _undo.undo_now("ufw", host.run, host.root, host.units)
    assert old.read_text() == "before"
    assert not new.exists()
    assert not list(host.units.iterdir())
    assert not (host.root / "ufw").exists()


def test_a_timer_that_lasts_over_a_reboot(host: Host, changed: tuple[Path, Path]) -> None:
    timer = (host.units / "quayside-ufw-undo.timer").read_text()
    assert "OnActiveSec=120" in timer
    assert "WantedBy=timers.target" in timer
    assert "systemctl enable --quiet quayside-ufw-undo.timer" in host.asked


def test_a_confirmed_change_stays(host: Host, changed: tuple[Path, Path]) -> None:
    assert _undo.confirm("ufw", host.run, host.root, host.units) is True
    assert changed[0].read_text() == "after"
    assert "systemctl disable --now --quiet quayside-ufw-undo.timer" in host.asked
    assert _undo.confirm("ufw", host.run, host.root, host.units) is False


def test_a_confirmation_that_comes_too_late_says_so(host: Host, changed: tuple[Path, Path]) -> None:
    host.run(["/bin/sh", str(host.root / "ufw/undo.sh")])
    with pytest.raises(_undo.UndoError, match="the change of ufw was undone, because no new connection got in"):
        _undo.confirm("ufw", host.run, host.root, host.units)
    assert _undo.confirm("ufw", host.run, host.root, host.units) is False


def test_an_undo_that_has_begun_is_waited_for(host: Host, changed: tuple[Path, Path]) -> None:
    host.state = "activating"
    _undo.confirm("ufw", host.run, host.root, host.units)
    assert "systemctl start --quiet quayside-ufw-undo.service" in host.asked
