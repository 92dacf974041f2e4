# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A change that undoes itself unless somebody confirms it over a new connection. Only I/O.

Files are copied before the change, beside a script that puts them back. A timer runs the script; who gets in again
stops the timer. Both are units on disk, so that a reboot in between does not lose them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ._files import make_folder
from ._host_run import Run

ROOT = Path("/var/lib/quayside/undo")
UNITS = Path("/etc/systemd/system")


class UndoError(Exception):
    """The undo could not be prepared, or it has run; one sentence."""


def unit_name(name: str) -> str:
    return f"quayside-{name}-undo"


def prepare(name: str, files: Iterable[Path], commands: Iterable[str], root: Path = ROOT) -> Path:
    """Copy the files and write the script that puts them back and runs the commands; return the script."""
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder, 0o700)
    lines = ["#!/bin/sh", f"# Puts back what was in force before a change of {name} that nobody confirmed."]
    for number, path in enumerate(files):
        copy = folder / f"{number}-{path.name}"
        if path.exists():
            shutil.copy2(path, copy)
            lines.append(f"cp -p '{copy}' '{path}'")
        else:
            lines.append(f"rm -f '{path}'")
    script = folder / "undo.sh"
    lines += [*commands, f"touch '{folder / 'undone'}'", f"systemctl disable --quiet {unit_name(name)}.timer || true"]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return script


def arm(name: str, seconds: int, run: Run, root: Path = ROOT, units: Path = UNITS) -> str:
    """Start the timer that runs the script; return the timer's name."""
    unit, script = unit_name(name), root / name / "undo.sh"
    service = f"[Unit]\nDescription=Undo an unconfirmed change of {name}\n\n[Service]\nType=oneshot\n"
    timer = f"[Unit]\nDescription=Undo a change of {name} unless it is confirmed\n\n[Timer]\nOnActiveSec={seconds}\n"
    (units / f"{unit}.service").write_text(f"{service}ExecStart=/bin/sh {script}\n", encoding="utf-8")
    (units / f"{unit}.timer").write_text(
        f"{timer}AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n", encoding="utf-8"
    )
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--quiet", f"{unit}.timer"])
    run(["systemctl", "restart", f"{unit}.timer"])
    return f"{unit}.timer"


def confirm(name: str, run: Run, root: Path = ROOT, units: Path = UNITS) -> bool:
    """Stop the timer and forget the copies; False when nothing was pending.

    Raises:
        UndoError: the timer was faster.
    """
    unit, folder = unit_name(name), root / name
    timer = units / f"{unit}.timer"
    if not timer.exists() and not folder.exists():
        return False
    if timer.exists():
        run(["systemctl", "disable", "--now", "--quiet", timer.name])
    # An undo that has begun is waited for: half-way there is neither the one state nor the other.
    if run(["systemctl", "is-active", f"{unit}.service"])[1].strip() == "activating":
        run(["systemctl", "start", "--quiet", f"{unit}.service"])
    undone = (folder / "undone").exists()
    forget(name, run, root, units)
    if undone:
        raise UndoError(
            f"the change of {name} was undone, because no new connection got in to confirm it in time: what was in "
            "force before is in force again"
        )
    return True


def undo_now(name: str, run: Run, root: Path = ROOT, units: Path = UNITS) -> None:
    """Run the script at once, because the change itself failed."""
    script = root / name / "undo.sh"
    if script.exists():
        run(["/bin/sh", str(script)])
    forget(name, run, root, units)


def forget(name: str, run: Run, root: Path = ROOT, units: Path = UNITS) -> None:
    unit = unit_name(name)
    written = [units / f"{unit}.timer", units / f"{unit}.service"]
    if any(path.exists() for path in written):
        run(["systemctl", "disable", "--now", "--quiet", f"{unit}.timer"])
        for path in written:
            with suppress(FileNotFoundError):
                path.unlink()
        run(["systemctl", "daemon-reload"])
    shutil.rmtree(root / name, ignore_errors=True)
