# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Offsite targets: what one is, and how rclone is told about it, without touching a disk or a network.

A target holds the same layout as the local repository, below its bucket, prefix or path:
<base>/<name>/<id>/ with the files, and manifest.json, which is written last: where it is, the copy is complete.
rclone is configured by its environment only: there is no file that could lie around, and no secret in an argv.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._offsite_settings import Fields, local_place, s3_place, sftp_place
from ._pg_repository import BackupError
from ._pg_rotation import Keep, check_minimum, parse_keep

#: rclone's name for the one target that a process works with.
REMOTE = "offsite"
_ENVIRONMENT = f"RCLONE_CONFIG_{REMOTE.upper()}_"
_MEBIBYTE = 1 << 20
_SMALLEST_PART = 5
_LARGEST_PART = 5 << 10
#: Parts that are uploaded side by side are held in memory, each whole.
_MEBIBYTES_SIDE_BY_SIDE = 16
_DEFAULT_KEEP = Keep()
_PLACES = {"s3": s3_place, "sftp": sftp_place, "local": local_place}


@dataclass(frozen=True)
class Target:
    """One place for copies. place is what a person calls it; base is the path below which the backups lie.

    settings are rclone's own, without the password; password is that of an SFTP user; known_hosts the text of host
    keys; timeout in seconds without a byte; bandwidth in bytes a second with K, M or G, empty for no limit.
    """

    name: str
    type: str
    place: str
    base: str
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    password: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    keep: Keep = field(default_factory=Keep)
    minimum: int = 3
    read_back: bool = True
    timeout: int = 60
    bandwidth: str = ""
    max_parts: int = 1000
    mounted: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in anything that we say."""
        return tuple(filter(None, (self.password, self.settings.get("secret_access_key", ""))))

    @property
    def label(self) -> str:
        """How messages begin."""
        return f"Offsite target {self.name} ({self.place})"

    def where(self, name: str, backup_id: str) -> str:
        """A copy's place for a person."""
        return f"{self.place.split(' at ')[0]}/{name}/{backup_id}"

    def path(self, *parts: str) -> str:
        """A path on the target as rclone wants it."""
        return f"{REMOTE}:" + "/".join((self.base.rstrip("/"), *parts))


def parse_target(entry: object, keep: Keep = _DEFAULT_KEEP, minimum: int = 3) -> Target:
    """One entry of offsite; keep and minimum are those of the database, for an entry without its own."""
    fields = Fields(entry)
    kind = fields.text("type")
    if kind == "rsync":
        fields.refuse("type", "is rsync; use sftp: the same SSH server answers it with the same key")
    if kind not in _PLACES:
        fields.refuse("type", f"is {kind[:30]!r}; {', '.join(_PLACES)} are accepted")
    place = _PLACES[kind](fields)
    given_keep = fields.take("keep")
    given_minimum = fields.take("minimum", minimum)
    try:
        keep = keep if given_keep is None else _parse_keep(given_keep)
        minimum = check_minimum(given_minimum)  # type: ignore[arg-type]
    except BackupError as error:
        raise BackupError(f"Offsite target {fields.name}: {error}") from None
    target = Target(
        name=fields.name,
        type=kind,
        place=place.place,
        base=place.base,
        settings={"type": kind, **place.settings},
        password=place.password,
        known_hosts=place.known_hosts,
        mounted=place.mounted,
        max_parts=place.max_parts,
        keep=keep,
        minimum=minimum,
        read_back=fields.flag("read_back", True),
        timeout=fields.number("timeout", 60, 5, 3600),
        bandwidth=fields.bandwidth(),
    )
    fields.finish()
    return target


def _parse_keep(value: object) -> Keep:
    if not isinstance(value, Mapping):
        raise BackupError("keep is not a mapping; {daily: 7, weekly: 4, monthly: 6, yearly: 0} is the form.")
    return parse_keep(value)


def parse_targets(entries: object, root: str, keep: Keep = _DEFAULT_KEEP, minimum: int = 3) -> tuple[Target, ...]:
    """All targets of one database; none may share a name or a place with another, or lie in the repository itself."""
    if entries is None:
        return ()
    if not isinstance(entries, (list, tuple)):
        raise BackupError("offsite is not a list; list each target with its name, type and place.")
    targets = tuple(parse_target(entry, keep, minimum) for entry in entries)
    seen: dict[str, str] = {}
    for target in targets:
        if target.name in seen.values():
            raise BackupError(f"Two offsite targets are called {target.name}; give each a name of its own.")
        if target.place in seen:
            raise BackupError(
                f"The offsite targets {seen[target.place]} and {target.name} are the same place, {target.place}; "
                "give each a bucket, prefix or path of its own."
            )
        seen[target.place] = target.name
        if target.type == "local" and _overlap(target.base, root):
            raise BackupError(
                f"Offsite target {target.name}: {target.base} and the repository {root} lie in one another, which is "
                "no second place; choose a path on another disk or mount."
            )
    return targets


def _overlap(one: str, other: str) -> bool:
    first, second = (path.rstrip("/") + "/" for path in (one, other))
    return first.startswith(second) or second.startswith(first)


def part_size(size: int, max_parts: int = 1000) -> int:
    """MiB of each part of an upload, so that some providers' 1,000 parts are enough."""
    wanted = -(-size // (max_parts * _MEBIBYTE))
    if wanted > _LARGEST_PART:
        raise BackupError(f"A file of {size} bytes cannot be uploaded in {max_parts} parts; raise max_parts.")
    return max(_SMALLEST_PART, wanted)


def environment(target: Target, *, obscured: str = "", known_hosts_file: str = "", largest: int = 0) -> dict[str, str]:
    """rclone's whole configuration: obscured is its form of the password, largest the size of the largest file."""
    settings = dict(target.settings)
    if obscured:
        settings["pass"] = obscured
    if known_hosts_file:
        settings["known_hosts_file"] = known_hosts_file
    if target.type == "s3":
        part = part_size(largest, target.max_parts)
        settings["chunk_size"] = f"{part}M"
        settings["upload_concurrency"] = str(max(1, min(2, _MEBIBYTES_SIDE_BY_SIDE // part)))
    return {_ENVIRONMENT + key.upper(): value for key, value in settings.items()}


def options(target: Target) -> list[str]:
    """What every call of rclone is told: bounded retries, no configuration file, one transfer at a time."""
    limit = [f"--bwlimit={target.bandwidth}"] if target.bandwidth else []
    return [
        "--config=",
        f"--contimeout={min(15, target.timeout)}s",
        f"--timeout={target.timeout}s",
        "--retries=2",
        "--low-level-retries=3",
        "--transfers=1",
        "--checkers=2",
        "--use-mmap",
        "--stats=0",
        *limit,
    ]
