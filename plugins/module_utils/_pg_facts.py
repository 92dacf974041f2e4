# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a server says before a restore: the facts that decide whether it can succeed."""

from __future__ import annotations

from dataclasses import dataclass

from ._pg_rights import Loader

#: The loader of a target that was not asked.
UNKNOWN = Loader("")


@dataclass(frozen=True)
class Role:
    """A role of the target; reachable if the role that loads may give things to it, assignable if the admin may."""

    name: str
    reachable: bool = True
    assignable: bool = True


@dataclass(frozen=True)
class Extension:
    """An extension that the target could install; permitted if the role that loads may do so."""

    name: str
    permitted: bool = True


@dataclass(frozen=True)
class Live:
    """A database as the target has it: who is connected, and what stands in the way of renaming it."""

    name: str
    oid: int = 0
    owner: str = ""
    manageable: bool = True
    sessions: int = 0
    unstoppable: tuple[str, ...] = ()
    prepared: int = 0
    slots: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Target:
    """What a server says before a restore. user is the admin, loader the role that loads. Unknown space is None."""

    version: str
    major: int
    user: str
    maintenance: str
    loader: Loader = UNKNOWN
    superuser: bool = False
    may_create: bool = True
    system_identifier: str = ""
    roles: tuple[Role, ...] = ()
    extensions: tuple[Extension, ...] = ()
    tablespaces: tuple[str, ...] = ()
    free_connections: int = 100
    free_bytes: int | None = None
    databases: tuple[str, ...] = ()
    live: Live | None = None
    live_extensions: tuple[str, ...] = ()

    def role(self, name: str) -> Role | None:
        return next((role for role in self.roles if role.name == name), None)
