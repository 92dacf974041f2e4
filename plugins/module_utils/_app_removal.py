# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Apps that are on a host and in no list: which may go, and what would go with them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Left:
    """An app that is on the host and in no list."""

    name: str
    domains: tuple[str, ...] = ()
    """Those of its live release."""
    containers: tuple[str, ...] = ()
    timers: tuple[str, ...] = ()

    @property
    def parts(self) -> str:
        """Return what would disappear, for a sentence."""
        site = f"its site ({', '.join(self.domains)})" if self.domains else "its site"
        counted = [(len(self.containers), "container"), (len(self.timers), "timer")]
        return ", ".join([site, *(f"{count} {what}{'s' * (count > 1)}" for count, what in counted if count)])


def unlisted(on_host: Iterable[str], listed: Collection[str]) -> list[str]:
    """Return the names of the apps that are on the host and not listed."""
    return sorted(set(on_host) - set(listed))


def problems(left: Iterable[Left], listed: Collection[str], confirmed: Collection[str]) -> list[str]:
    """Return one sentence for each app that would be removed unasked, and for each confirmation of a listed one."""
    found = [
        f'app "{name}": confirm names it, and it is in quayside_apps; take it out of the list to remove it.'
        for name in sorted(set(confirmed) & set(listed))
    ]
    return found + [
        f'app "{app.name}" is on this host and not in quayside_apps: {app.parts} and its releases would disappear; '
        f"put it back into the list, or remove all of it but its database and its backups with -e confirm={app.name}."
        for app in left
        if app.name not in confirmed
    ]
