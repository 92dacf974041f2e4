# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Alembic: its script tree from `alembic history --verbose`, and what a database still needs of it. Pure."""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._migration import Migration, MigrationError, Plan

COMMAND = ("alembic",)
HISTORY = ("history", "--verbose")
UPGRADE = ("upgrade", "heads")

_REV = re.compile(r"^Rev: (\S+)(.*)$")
_FIELD = re.compile(r"^(Parent|Merges|Also depends on|Branch names|Branches into|Path): (.*)$")
_RUNNING = re.compile(r"Running upgrade (?P<down>.*?) -> (?P<up>[^\s,]+)")


_SEPARATORS = {"space": None, "newline": "\n", "os": ":", ":": ":", ";": ";"}


@dataclass(frozen=True)
class Revision:
    """One script. `needs` are its parents and what it depends on."""

    id: str
    parents: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Tree:
    """All revisions of an image, base first."""

    revisions: tuple[Revision, ...] = ()

    @property
    def by_id(self) -> Mapping[str, Revision]:
        return {revision.id: revision for revision in self.revisions}

    @property
    def heads(self) -> tuple[str, ...]:
        parents = {parent for revision in self.revisions for parent in revision.parents}
        return tuple(revision.id for revision in self.revisions if revision.id not in parents)

    def with_ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """These revisions and everything they build upon."""
        known, found, todo = self.by_id, set(), list(ids)
        while todo:
            here = todo.pop()
            if here in known and here not in found:
                found.add(here)
                todo += [*known[here].parents, *(id for name in known[here].depends_on for id in self._named(name))]
        return frozenset(found)

    def _named(self, name: str) -> tuple[str, ...]:
        """A dependency is a revision, or a label, which stands for the revision that declares it."""
        if name in self.by_id:
            return (name,)
        labelled = [revision for revision in self.revisions if name in revision.labels]
        carriers = {revision.id for revision in labelled}
        return tuple(revision.id for revision in labelled if not carriers.intersection(revision.parents))


def parse_history(text: str) -> Tree:
    """Read the stdout of `alembic history --verbose`, head first; descriptions are indented and cannot fool it."""
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        start, field = _REV.match(line), _FIELD.match(line)
        if start:
            blocks.append({"Rev": start[1]})
        elif blocks and field:
            blocks[-1][field[1]] = field[2]
        elif blocks and line.startswith("    ") and line.strip():
            blocks[-1].setdefault("title", line.strip())
    return Tree(tuple(_revision(block) for block in reversed(blocks)))


def plan(tree: Tree, current: Iterable[str], *, image: str, database: str, allow_ahead: bool = False) -> Plan:
    """What `upgrade heads` would do, or a MigrationError that says why it must not be tried."""
    before = tuple(sorted(current))
    unknown = [revision for revision in before if revision not in tree.by_id]
    if unknown and allow_ahead:
        return Plan(before=before, after=before, ahead=True)
    if unknown:
        known = ", ".join(tree.heads) or "no revision at all"
        raise MigrationError(
            f"Database {database} is at revision {', '.join(unknown)}, which {image} does not have (it ends at "
            f"{known}): the database is ahead of it or belongs to another one; deploy an image that has it, "
            f"or set allow_ahead for a rollback."
        )
    if len(tree.heads) > 1:
        raise MigrationError(
            f"{image[:1].upper()}{image[1:]} has {len(tree.heads)} Alembic heads ({', '.join(tree.heads)}), "
            f"expected one; join them with `alembic merge heads` and build the image again."
        )
    done = tree.with_ancestors(before)
    wanted = tree.with_ancestors(tree.heads)
    pending = tuple(
        Migration(revision.id, revision.title)
        for revision in tree.revisions
        if revision.id in wanted and revision.id not in done
    )
    return Plan(before=before, after=tree.heads if pending else before, pending=pending)


def applied(tree: Tree, before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """What really happened between two states of alembic_version, base first."""
    new = tree.with_ancestors(after) - tree.with_ancestors(before)
    return tuple(revision.id for revision in tree.revisions if revision.id in new)


def failed_migration(stderr: str, pending: Iterable[Migration], done: Iterable[str]) -> str | None:
    """The step at which a failed upgrade stopped. "Running upgrade" says started, not applied."""
    left = [step.id for step in pending if step.id not in set(done)]
    started = [found["up"] for found in _RUNNING.finditer(stderr)]
    if started:
        return started[-1]
    return left[0] if len(left) == 1 else None


def _revision(block: Mapping[str, str]) -> Revision:
    parents = _names(block.get("Merges", block.get("Parent", "")))
    title = block.get("title", "")
    return Revision(
        id=block["Rev"],
        parents=tuple(parent for parent in parents if parent != "<base>"),
        depends_on=_names(block.get("Also depends on", "")),
        labels=_names(block.get("Branch names", "")),
        # A script without a message starts with this line of Alembic's template.
        title="" if title.startswith("Revision ID:") else title,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def config_file(command: Sequence[str]) -> tuple[str, str]:
    """The configuration file that a command names, and the section in it."""
    found = {"config": "alembic.ini", "name": "alembic"}
    short = {"-c": "config", "-n": "name", "--config": "config", "--name": "name"}
    for argument, following in zip(command, [*command[1:], ""]):
        option, equals, value = argument.partition("=")
        if option in short:
            found[short[option]] = value if equals else following
    return found["config"], found["name"]


def script_folders(text: str, *, file: str, section: str, workdir: str) -> tuple[str, ...] | None:
    """The folders, absolute, that hold all scripts by this configuration; None where that is not for sure."""
    parser = configparser.ConfigParser(defaults={"here": posixpath.dirname(posixpath.join(workdir, file))})
    try:
        parser.read_string(text)
        if not parser.has_section(section) or parser.has_option(section, "sourceless"):
            return None
        location = parser.get(section, "script_location", fallback="")
        versions = parser.get(section, "version_locations", fallback="")
        separator = parser.get(section, "path_separator", fallback="") or parser.get(
            section, "version_path_separator", fallback=""
        )
    except configparser.Error:
        return None
    if versions and separator not in _SEPARATORS:
        return None
    folders = [location, *(name.strip() for name in versions.split(_SEPARATORS.get(separator)) if name.strip())]
    # A package's folder (`shop:migrations`) is known to Python alone.
    if not location or any(":" in folder for folder in folders):
        return None
    found = sorted({posixpath.normpath(posixpath.join(workdir, folder)) for folder in folders})
    return tuple(folder for folder in found if not any(folder.startswith(f"{other}/") for other in found))
