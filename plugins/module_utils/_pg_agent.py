# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the host needs to back itself up: the program, its settings, one systemd timer a database."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ._pg_config import PATH, Config, from_json, to_json
from ._pg_repository import BackupError
from ._pg_units import COMMAND, UNITS, services, timers

LIBRARY = "/usr/local/lib/quayside/quayside_backup"
#: Where the program begins; what it imports comes along.
ENTRY = "_pg_cli.py"

_LAUNCHER = f"""\
#!/usr/bin/python3 -I
# Installed by quayside.web.pg_backup_agent.
import sys

sys.path.insert(0, "{LIBRARY.rpartition("/")[0]}")

from quayside_backup._pg_cli import main

sys.exit(main())
"""


@dataclass(frozen=True)
class File:
    """A file the agent owns. shown is what a diff prints in place of a secret or a whole program; None: the text."""

    path: str
    text: str
    mode: int
    shown: str | None = None


@dataclass(frozen=True)
class Found:
    """The state of a host: files by path as (text, mode), timers that are both enabled and active, folders."""

    files: Mapping[str, tuple[str, int]]
    running_timers: frozenset[str] = frozenset()
    root_mode: int | None = None
    has_metrics: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be done; empty when the host is as it should be."""

    write: tuple[File, ...] = ()
    remove: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    make_root: bool = False
    make_metrics: bool = False
    reload: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.write or self.remove or self.start or self.make_root or self.make_metrics)


def program(read: Callable[[str], str]) -> dict[str, str]:
    """The files that make up the program: its entry and every module beside it that one of them imports."""
    found: dict[str, str] = {}
    waiting = [ENTRY]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = read(name)
            waiting += [f"{module}.py" for module in _imported(found[name])]
    return dict(sorted(found.items()))


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def desired_files(config: Config, sources: Mapping[str, str], spread: int) -> list[File]:
    """Every file of the agent, in an order that is safe to stop at: the timers come last."""
    program = {f"{LIBRARY}/{name}": text for name, text in sources.items()}
    files = [File(path, text, 0o644, f"({len(text.splitlines())} lines)\n") for path, text in program.items()]
    files.append(File(COMMAND, _LAUNCHER, 0o755))
    files.append(File(PATH, to_json(config), 0o600, to_json(config, redacted=True)))
    files += [File(f"{UNITS}/{name}", text, 0o644) for name, text in services(config)]
    for database in config.databases:
        files += [File(f"{UNITS}/{name}", text, 0o644) for name, text in timers(database, spread)]
    return files


def plan(config: Config, files: Iterable[File], found: Found) -> Plan:
    """Compare the host with what it should be."""
    wanted = list(files)
    paths = {file.path for file in wanted}
    write = tuple(file for file in wanted if found.files.get(file.path) != (file.text, file.mode))
    remove = tuple(path for path in sorted(found.files) if path not in paths)
    written = {file.path for file in write}
    names = [path.rpartition("/")[2] for path in (file.path for file in wanted) if path.endswith(".timer")]
    return Plan(
        write=write,
        remove=remove,
        # A timer whose calendar changed has to be started again, or it waits for the old one.
        start=tuple(t for t in names if t not in found.running_timers or f"{UNITS}/{t}" in written),
        stop=tuple(path.rpartition("/")[2] for path in remove if path.endswith(".timer")),
        make_root=found.root_mode != 0o700,
        make_metrics=bool(config.metrics) and not found.has_metrics,
        reload=any(path.startswith(UNITS) for path in (*written, *remove)),
    )


def _old_shown(file: File, old: str) -> str:
    if file.path == PATH:
        try:
            return to_json(from_json(old), redacted=True)
        except BackupError:
            return "(not shown)\n"
    return old if file.shown is None else "(not shown)\n"


def show(decided: Plan, found: Found) -> tuple[str, str]:
    """Before and after for a diff; settings in which only a password changed look the same in both."""
    before, after = "", ""
    for file in decided.write:
        old = found.files.get(file.path)
        after += f"{file.path} {file.mode:04o}\n{file.text if file.shown is None else file.shown}"
        if old is not None:
            before += f"{file.path} {old[1]:04o}\n{_old_shown(file, old[0])}"
    before += "".join(f"{path}\n" for path in decided.remove)
    after += "".join(f"{timer} started\n" for timer in decided.start)
    return before, after
