# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Django: its migrations from `showmigrations --plan`, and what a database still needs of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ._migration import Migration, MigrationError, Plan

COMMAND = ("python", "manage.py")
#: At verbosity 2 each line names its parents, which tell conflicting leaves from a chain.
SHOW = ("showmigrations", "--plan", "--verbosity", "2", "--no-color")
MIGRATE = ("migrate", "--noinput", "--no-color")
#: Prints the names that squashed migrations stand for; asked only when the database holds one that is not listed.
REPLACED = (
    "shell",
    "-c",
    "from django.db.migrations.loader import MigrationLoader as L; "
    "[print('replaced:', *name, sep=' ') for m in L(None).disk_migrations.values() "
    "for name in m.replaces]",
)

_LINE = re.compile(r"^\[([X ])\]\s+([^\s.]+\.\S+)(?:\s+\.\.\. \((.*)\))?\s*$")
_REPLACED = re.compile(r"^replaced: (\S+) (\S+)$", re.MULTILINE)
_APPLYING = re.compile(r"^\s*Applying (\S+?)\.\.\.", re.MULTILINE)


@dataclass(frozen=True)
class Node:
    """One migration, such as `auth.0001_initial`."""

    name: str
    applied: bool
    parents: tuple[str, ...] = ()

    @property
    def app(self) -> str:
        return self.name.partition(".")[0]


def parse_plan(text: str) -> tuple[Node, ...]:
    """Read the stdout of `showmigrations --plan --verbosity 2`, which is in the order of applying."""
    found = (_LINE.match(line) for line in text.splitlines())
    return tuple(
        Node(line[2], line[1] == "X", tuple(name.strip() for name in (line[3] or "").split(",") if name.strip()))
        for line in found
        if line
    )


def parse_replaced(text: str) -> frozenset[str]:
    return frozenset(f"{app}.{name}" for app, name in _REPLACED.findall(text))


def unlisted(nodes: Iterable[Node], recorded: Iterable[str]) -> tuple[str, ...]:
    """What the database has applied of these apps, but the image does not list. Apps that are gone do not count."""
    names = {node.name for node in nodes}
    apps = {name.partition(".")[0] for name in names}
    return tuple(sorted(name for name in recorded if name not in names and name.partition(".")[0] in apps))


def plan(
    nodes: Collection[Node],
    recorded: Iterable[str],
    *,
    image: str,
    database: str,
    replaced: Collection[str] = (),
    allow_ahead: bool = False,
) -> Plan:
    """What `migrate` would do, or a MigrationError that says why it must not be tried."""
    before = tuple(sorted(recorded))
    unknown = [name for name in unlisted(nodes, before) if name not in replaced]
    if unknown and allow_ahead:
        return Plan(before=before, after=before, ahead=True)
    if unknown:
        raise MigrationError(
            f"Database {database} has applied {', '.join(unknown)}, which {image} does not have: the database is "
            f"ahead of it or belongs to another app; deploy an image that has it, or set allow_ahead for a rollback."
        )
    for app, leaves in _leaves(nodes).items():
        if len(leaves) > 1:
            raise MigrationError(
                f"In {image} the Django app {app} ends in {len(leaves)} migrations ({', '.join(leaves)}), expected "
                f"one; join them with `makemigrations --merge` and build the image again."
            )
    done = {node.name for node in nodes if node.applied}
    for node in nodes:
        missing = [parent for parent in node.parents if node.applied and parent not in done]
        if missing:
            raise MigrationError(
                f"Database {database} has applied {node.name} before {missing[0]}, on which it depends in {image}; "
                f"Django refuses such a history: correct the table django_migrations, or the dependencies in the image."
            )
    pending = tuple(Migration(node.name) for node in nodes if not node.applied)
    return Plan(before=before, after=tuple(sorted({*before, *(step.id for step in pending)})), pending=pending)


def applied(pending: Iterable[Migration], before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """What really happened between two states of django_migrations, in the order of applying."""
    new = set(after) - set(before)
    ordered = [step.id for step in pending if step.id in new]
    return (*ordered, *sorted(new - set(ordered)))


def failed_migration(stdout: str, pending: Iterable[Migration], done: Iterable[str]) -> str | None:
    """The step at which `migrate` stopped: it prints "Applying …" before, and "OK" only after it."""
    started = [str(name) for name in _APPLYING.findall(stdout) if name not in set(done)]
    if started:
        return started[-1]
    left = [step.id for step in pending if step.id not in set(done)]
    return left[0] if len(left) == 1 else None


def _leaves(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """The last migrations of each app: those that none of the same app follows."""
    nodes = list(nodes)
    followed = {parent for node in nodes for parent in node.parents if parent.partition(".")[0] == node.app}
    found: dict[str, list[str]] = {}
    for node in nodes:
        if node.name not in followed:
            found.setdefault(node.app, []).append(node.name)
    return found
