# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What can be wrong between the keys by which apps or sites meet the internet, and between two that share a domain.

All of it takes what people wrote, of whatever type; a value of a wrong type is the rules' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._rules import Problem

Item = Mapping[str, Any]


def texts(item: Item, key: str, default: Iterable[str] = ()) -> list[str]:
    """Return the strings of a list, in lower case where they are domains."""
    value = item.get(key)
    found = [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else list(default)
    return [entry.lower() for entry in found] if key == "domains" else found


def covers(prefix: str, path: str) -> bool:
    """Whether a path is a prefix's own or lies below it: /api covers /api/v1 and not /apis."""
    return prefix in ("/", path) or path.startswith(f"{prefix}/")


def paths_of(item: Item) -> list[str]:
    return texts(item, "paths", ["/"])


def within(item: Item) -> Iterator[Problem]:
    """Yield what is wrong between the keys of one app or site."""
    yield from _across_cors(item.get("cors"))
    yield from _across_paths(item)
    yield from _across_static(item)
    if item.get("real_ip") and "/" not in paths_of(item):
        yield Problem("real_ip", "given", "it goes with the app that has the path / of these domains")


def _across_cors(cors: object) -> Iterator[Problem]:
    if not isinstance(cors, Mapping):
        return
    origins = texts(cors, "origins")
    if "*" in origins and len(origins) > 1:
        yield Problem("cors.origins", 'a list with "*" and others', '"*" alone, or origins by name')
    if cors.get("credentials") is True:
        for key in ("origins", "methods", "headers", "expose"):
            if "*" in texts(cors, key):
                accepted = "each by name, since browsers refuse a wildcard together with credentials: true"
                yield Problem(f"cors.{key}", 'a list with "*"', accepted)


def _across_paths(item: Item) -> Iterator[Problem]:
    paths = paths_of(item)
    for index, path in enumerate(paths):
        for other in paths[:index]:
            if covers(other, path) or covers(path, other):
                yield Problem("paths", f'a list with "{other}" and "{path}"', "paths of which none lies below another")
    for path in texts(item, "sse"):
        if not any(covers(prefix, path) for prefix in paths):
            yield Problem("sse", f'a list with "{path}"', f"paths below {' or '.join(paths)}")
    health = item.get("health")
    health_path = health.get("path", "/health") if isinstance(health, Mapping) else "/health"
    if "image" in item and isinstance(health_path, str) and not any(covers(prefix, health_path) for prefix in paths):
        accepted = f"a path below {' or '.join(paths)}, for the app is asked through its public paths too"
        yield Problem("health.path", f'"{health_path}"', accepted)


def _across_static(item: Item) -> Iterator[Problem]:
    static = item.get("static")
    taken = [*paths_of(item), *texts(item, "sse")]
    for index, entry in enumerate(static if isinstance(static, list) else []):
        if not isinstance(entry, Mapping):
            continue
        path, place = entry.get("path"), f"static[{index}]"
        if isinstance(path, str) and (path in taken or not any(covers(prefix, path) for prefix in paths_of(item))):
            yield Problem(f"{place}.path", f'"{path}"', "a path of its own below the app's paths")
        taken += [path] if isinstance(path, str) else []
        if bool(entry.get("root")) == bool(entry.get("volume")):
            found = "given with root" if entry.get("root") else "missing, and so is root"
            yield Problem(f"{place}.volume", found, "one of the two")
        elif entry.get("volume") and host_folder(item, str(entry["volume"])) is None:
            accepted = (
                "a folder in the container that `volumes` mounts from a folder of the host, such as "
                "/srv/shop/static:/app/static; nginx can't read into Docker's own named volumes"
            )
            yield Problem(f"{place}.volume", f'"{entry["volume"]}"', accepted)


def host_folder(item: Item, folder: str) -> str | None:
    """Return the folder of the host that is mounted at a folder of the container, or holds it."""
    for volume in texts(item, "volumes"):
        source, _colon, rest = volume.partition(":")
        target = rest.partition(":")[0].rstrip("/")
        if source.startswith("/") and (folder.rstrip("/") == target or folder.startswith(f"{target}/")):
            return source.rstrip("/") + folder.rstrip("/")[len(target) :]
    return None


def sharing(entries: Iterable[tuple[str, Item]]) -> Iterator[str]:
    """Yield what is wrong between apps, or sites, that name the same domain. Each entry comes with its label."""
    before: list[tuple[str, Item]] = []
    for label, item in entries:
        domains = list(dict.fromkeys(texts(item, "domains")))
        for other_label, other in before:
            shared = [domain for domain in domains if domain in texts(other, "domains")]
            if shared:
                yield from _between(label, item, other_label, other, shared)
        before.append((label, item))


def _between(label: str, item: Item, other_label: str, other: Item, shared: list[str]) -> Iterator[str]:
    clashes = [(path, theirs) for path in paths_of(item) for theirs in paths_of(other) if _overlap(path, theirs)]
    if ("/", "/") in clashes:
        # One sentence for each domain, as it was before apps could share one by their paths.
        for domain in shared:
            yield (
                f'{label}: domains has "{domain}", which {other_label} has too; '
                "accepted: each domain in one app, or paths that differ."
            )
        return
    for path, theirs in clashes:
        yield (
            f'{label}: paths has "{path}" at {shared[0]}, where {other_label} has "{theirs}"; '
            "accepted: paths of which none lies below another's."
        )
    for mine, inner, theirs, paths in ((label, item, other_label, other), (other_label, other, label, item)):
        for key, path in _inside(inner):
            for outer in paths_of(paths):
                if outer != "/" and _overlap(path, outer):
                    yield (
                        f'{mine}: {key} has "{path}" at {shared[0]}, where {theirs} has "{outer}"; '
                        "accepted: paths of which none lies below another app's."
                    )
    if set(texts(item, "domains")) != set(texts(other, "domains")):
        yield (
            f"{label}: domains are {', '.join(texts(item, 'domains'))}, and {other_label}, which shares {shared[0]}, "
            f"has {', '.join(texts(other, 'domains'))}; accepted: the same domains for both."
        )
    elif texts(item, "domains")[0] != texts(other, "domains")[0] or bool(item.get("serve_all")) != bool(
        other.get("serve_all")
    ):
        yield (
            f"{label}: its first domain or serve_all differs from that of {other_label}, which shares {shared[0]}; "
            "accepted: the same for both."
        )


def _inside(item: Item) -> Iterator[tuple[str, str]]:
    """The paths that an app treats in a way of their own, each with its key."""
    entries = item.get("static")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("path"), str):
            yield "static", entry["path"]
    for path in texts(item, "sse"):
        yield "sse", path


def _overlap(path: str, other: str) -> bool:
    if "/" in (path, other):
        return path == other
    return covers(path, other) or covers(other, path)
