# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What an nginx configuration tree should become: gates, plan and revision, without touching a host."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

MAIN_FILE = "nginx.conf"
TREE = "quayside"
REVISION_FILE = f"{TREE}/revision.conf"
#: Where nginx.conf includes the sites of others from.
UNMANAGED = "conf.d/*.conf"

_GATE = re.compile(r"[ \t]*#@[ \t]+(?P<terms>\S.*?)[ \t]*$")
_TERM = re.compile(r"(?P<name>nginx|openssl)(?P<op><|>=)(?P<version>\d+(?:\.\d+)*)\Z")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")
_ERROR = re.compile(r"\[(?:emerg|alert)\] (?:\d+#\d+: )?(?P<text>[^\n]+)")
_CONFLICT = re.compile(r'conflicting server name "(?P<name>[^"]*)" on (?P<address>\S+), ignored')

_PLACE = re.compile(rf"/(?P<path>{TREE}/[A-Za-z0-9._/-]+):(?P<line>\d+)")

Version = tuple[int, ...]


@dataclass(frozen=True)
class Host:
    """What the gates ask about. None: not known yet, nginx is still to be installed."""

    nginx: Version | None = None
    openssl: Version | None = None
    ipv6: bool = False


@dataclass(frozen=True)
class Plan:
    """The step from the live tree to the wanted one."""

    tree: dict[str, str]
    written: tuple[str, ...]
    removed: tuple[str, ...]
    revision: str

    @property
    def changes_files(self) -> bool:
        return bool(self.written or self.removed)


def version_of(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def parse_versions(output: str) -> tuple[Version | None, Version | None]:
    """The versions of nginx and of the OpenSSL it runs with, from `nginx -V`."""
    nginx = re.search(r"nginx version: \S+?/(\d+(?:\.\d+)*)", output)
    openssl = re.search(r"running with OpenSSL (\d+(?:\.\d+)*)", output) or re.search(
        r"built with OpenSSL (\d+(?:\.\d+)*)", output
    )
    return (version_of(nginx[1]) if nginx else None, version_of(openssl[1]) if openssl else None)


def _holds(term: str, host: Host) -> bool:
    if term == "ipv6":
        return host.ipv6
    match = _TERM.match(term)
    if match is None:
        raise ValueError(f"gate '{term}' is unknown; write ipv6, nginx<1.25.1, nginx>=1.25.1 or openssl>=3.5")
    found = host.nginx if match["name"] == "nginx" else host.openssl
    # An unknown version counts as the oldest: its lines are the ones every host accepts.
    newer = found is not None and found >= version_of(match["version"])
    return newer if match["op"] == ">=" else not newer


def apply_gates(text: str, host: Host) -> str:
    """Keeps a line that ends in `#@ term term` only where every term holds on this host."""
    lines = []
    for line in text.splitlines():
        gate = _GATE.search(line)
        terms = [_holds(term, host) for term in gate["terms"].split()] if gate else []
        if all(terms):
            lines.append(line[: gate.start()] if gate else line)
    return "\n".join(lines) + "\n"


def check_paths(paths: Sequence[str]) -> None:
    for path in paths:
        if not _PATH.match(path) or not (path == MAIN_FILE or path.startswith(f"{TREE}/")) or path == REVISION_FILE:
            raise ValueError(
                f"file '{path}' is not one this module owns; use {MAIN_FILE} or a plain relative path below {TREE}/"
            )


def owned(path: str, patterns: Sequence[str]) -> bool:
    """Whether a run that declares these patterns decides about this file."""
    return path != REVISION_FILE and any(PurePosixPath(path).match(pattern) for pattern in patterns)


def revision_of(tree: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(tree):
        if path != REVISION_FILE:
            digest.update(f"{path}\0{tree[path]}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def make_plan(live: Mapping[str, str], files: Mapping[str, str], owns: Sequence[str], host: Host) -> Plan:
    """The tree after this run: declared files as rendered for this host, undeclared ones in our patterns gone."""
    check_paths(list(files))
    strays = sorted(path for path in files if not owned(path, owns))
    if strays:
        raise ValueError(f"file '{strays[0]}' matches none of the patterns this run owns: {', '.join(owns)}")
    tree = {path: text for path, text in live.items() if not owned(path, owns)}
    tree.update({path: apply_gates(text, host) for path, text in files.items()})
    revision = revision_of(tree)
    tree[REVISION_FILE] = f'return 200 "{revision}\\n";\n'
    return Plan(
        tree=tree,
        written=tuple(sorted(path for path, text in tree.items() if live.get(path) != text)),
        removed=tuple(sorted(set(live) - set(tree))),
        revision=revision,
    )


def diff_of(root: str, live: Mapping[str, str], plan: Plan) -> list[dict[str, str]]:
    return [
        {
            "before_header": f"{root}/{path}",
            "after_header": f"{root}/{path}",
            "before": live.get(path, ""),
            "after": plan.tree.get(path, ""),
        }
        for path in sorted({*plan.written, *plan.removed} - {REVISION_FILE})
    ]


def first_error(output: str) -> str | None:
    """nginx's own line that says what is wrong, without prefix and timestamp."""
    match = _ERROR.search(output)
    return match["text"] if match else None


def named(fault: str, tree: Mapping[str, str]) -> str:
    """A fault with the name of the site, and the line itself, where nginx says in which of our files it is."""
    place = _PLACE.search(fault)
    lines = tree.get(place["path"], "").splitlines() if place else []
    if place is None or not 0 < int(place["line"]) <= len(lines):
        return fault
    site = PurePosixPath(place["path"])
    owner = f'site "{site.stem}": ' if site.parent.name == "sites" else ""
    return f"{owner}{fault}, where it says: {lines[int(place['line']) - 1].strip()}"


def shadowed_name(output: str, tree: Mapping[str, str]) -> str | None:
    """A name of ours that nginx only warns about although it serves one of its two servers and drops the other."""
    text = "\n".join(tree.values())
    for match in _CONFLICT.finditer(output):
        name = re.escape(match["name"])
        if re.search(rf"\bserver_name\s[^;]*(?<![\w.-]){name}(?![\w.-])", text):
            return f"domain {match['name']} is declared by two servers on {match['address']}"
    return None
