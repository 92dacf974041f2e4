# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Password files as nginx reads them: which hashes stay, because they are of the password that is wanted. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

#: Of a password and a salt, its SHA-512 crypt(3).
Hash = Callable[[str, str], str]
_ENTRY = re.compile(r"(?P<user>[^:\s]+):(?P<hash>\$6\$(?P<salt>[A-Za-z0-9./]{1,16})\$[A-Za-z0-9./]{86})")


def file_text(before: str, users: Mapping[str, str], hashed: Hash, new_salt: Callable[[], str]) -> str:
    """Return a password file for these users. Who has the same password as before keeps the line as it is."""
    known = {match["user"]: match for match in map(_ENTRY.fullmatch, before.splitlines()) if match}
    lines = []
    for user in sorted(users):
        entry = known.get(user)
        same = entry is not None and hashed(users[user], entry["salt"]) == entry["hash"]
        lines.append(entry[0] if entry is not None and same else f"{user}:{hashed(users[user], new_salt())}")
    return "".join(f"{line}\n" for line in lines)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the users whose lines differ, by site; names only."""
    found = {}
    for site in sorted({*before, *after}):
        old, new = (set(texts.get(site, "").splitlines()) for texts in (before, after))
        users = {line.partition(":")[0] for line in old ^ new}
        if users or (site in before) != (site in after):
            found[site] = sorted(users)
    return found
