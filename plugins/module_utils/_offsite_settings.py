# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The settings of an offsite target, key by key: what is accepted, and what rclone calls it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ._pg_repository import BackupError, check_name

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\]_-]*(/[^\s?#@]*)?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_BANDWIDTH = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?[KMG]")


@dataclass(frozen=True)
class Place:
    """Where a target is, and rclone's settings to get there."""

    place: str
    base: str
    settings: Mapping[str, str] = field(repr=False)
    password: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    mounted: bool = False
    max_parts: int = 1000


class Fields:
    """One entry, read key by key; what nobody has asked for in the end is unknown."""

    def __init__(self, entry: object) -> None:
        if not isinstance(entry, Mapping):
            raise BackupError("An entry of offsite is not a mapping; give it name, type and the keys of its type.")
        # Ansible gives an option that was left out as null.
        self._left: dict[str, Any] = {str(key): value for key, value in entry.items() if value is not None}
        self._known: list[str] = []
        self.name = "?"
        self.name = self._checked_name()

    def _checked_name(self) -> str:
        try:
            return check_name(self.text("name"))
        except BackupError as error:
            raise BackupError(str(error).replace("backup name", "name of an offsite target")) from None

    def refuse(self, key: str, sentence: str) -> NoReturn:
        raise BackupError(f"Offsite target {self.name}: {key} {sentence}.")

    def take(self, key: str, default: object = None) -> object:
        self._known.append(key)
        value = self._left.pop(key, None)
        return default if value is None else value

    def text(
        self, key: str, default: str | None = None, accepted: re.Pattern[str] | None = None, form: str = ""
    ) -> str:
        """A text, which is required without a default."""
        value = self.take(key, default)
        if value is None:
            self.refuse(key, "is missing" + (f"; {form}" if form else ""))
        if not isinstance(value, str) or _CONTROL.search(value):
            self.refuse(key, "is not one line of text" + (f"; {form}" if form else ""))
        if accepted is not None and value != default and not accepted.fullmatch(value):
            self.refuse(key, f"is {value[:60]!r}; {form}")
        return value

    def secret(self, key: str) -> str:
        """A text that no message shows."""
        value = self.take(key, "")
        if not isinstance(value, str) or _CONTROL.search(value):
            self.refuse(key, "is not one line of text (it is not shown here)")
        return value

    def lines(self, key: str) -> str:
        value = self.take(key, "")
        if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
            value = "\n".join(value)
        if not isinstance(value, str):
            self.refuse(key, "is not text; give the lines of ssh-keyscan")
        return value.strip() + "\n" if value.strip() else ""

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"is {str(value)[:30]!r}; true or false is accepted")
        return value

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, f"is {str(value)[:30]!r}; a whole number from {least} to {most} is accepted")
        return value

    def bandwidth(self) -> str:
        return self.text("bandwidth", "", _BANDWIDTH, "bytes a second are accepted as 500K, 10M or 1.5G")

    def folder(self, key: str, *, absolute: bool = False, default: str | None = None) -> str:
        """A path without surprises: none that climbs, and not the whole disk."""
        form = "give a folder such as /mnt/backup" if absolute else "give a folder such as backups/web1"
        value = self.text(key, default, form=form)
        if ".." in value.split("/"):
            self.refuse(key, f"is {value[:60]!r}; '..' is not accepted, give the folder itself")
        if value.startswith("~"):
            self.refuse(key, f"is {value[:60]!r}; '~' is not accepted, a path without '/' in front is below the home")
        if absolute and not value.startswith("/"):
            self.refuse(key, f"is {value[:60]!r}; an absolute path is accepted, such as /mnt/backup")
        cleaned = "/".join(part for part in value.split("/") if part not in ("", "."))
        if not cleaned and default is None:
            self.refuse(key, f"is {value[:60]!r}; {form}")
        return "/" + cleaned if value.startswith("/") and cleaned else cleaned

    def finish(self) -> None:
        if self._left:
            key = sorted(self._left)[0]
            self.refuse(f"the key {key[:30]!r}", f"is not known; {', '.join(sorted(self._known))} are accepted")


def s3_place(fields: Fields) -> Place:
    """Any S3: with an endpoint, or Amazon's own by its region."""
    form = "https://host, https://host:port or nothing for Amazon's own is accepted"
    endpoint = fields.text("endpoint", "", _ENDPOINT, form).rstrip("/")
    region = fields.text("region", "", _WORD, "a word such as eu-central-1 is accepted")
    if not endpoint and not region:
        fields.refuse("endpoint", "and region are missing; give the endpoint of your provider, or Amazon's region")
    bucket = fields.text("bucket", None, _BUCKET, "the name of a bucket that exists is accepted")
    prefix = fields.folder("prefix", default="").strip("/")
    access_key = fields.secret("access_key")
    secret_key = fields.secret("secret_key")
    if not access_key or not secret_key:
        fields.refuse("access_key" if secret_key else "secret_key", "is missing; both are needed to log in")
    settings = {
        "provider": "Other" if endpoint else "AWS",
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "region": region,
        "endpoint": endpoint,
        "storage_class": fields.text("storage_class", "", _WORD, "a word such as STANDARD_IA is accepted"),
        "force_path_style": "true" if fields.flag("path_style", True) else "false",
        # A role that may only write objects may not list or make buckets; check() says when one is missing.
        "no_check_bucket": "true",
        # Every copy is listed, read back and hashed by us: a sum that nobody asks and a look at each are lost time.
        "disable_checksum": "true",
        "no_head": "true",
        "upload_cutoff": "64M",
    }
    base = f"{bucket}/{prefix}" if prefix else bucket
    return Place(
        place=f"s3://{base} at {endpoint or 'Amazon ' + region}",
        base=base,
        settings={key: value for key, value in settings.items() if value},
        max_parts=fields.number("max_parts", 1000, 1, 10000),
    )


def sftp_place(fields: Fields) -> Place:
    """An SSH server that speaks SFTP; what it says it is has to match a host key that was given."""
    # ssh-keyscan writes names in small letters, and rclone compares them letter by letter.
    host = fields.text("host", None, _HOST, "a host name or address is accepted").lower()
    port = fields.number("port", 22, 1, 65535)
    user = fields.text("user", None, _USER, "the user to log in as is accepted")
    path = fields.folder("path")
    password = fields.secret("password")
    key_file = fields.text("key_file", "")
    if bool(password) == bool(key_file):
        found = "and key_file are both given" if password else "and key_file are both missing"
        fields.refuse("password", f"{found}; give one of them, best a key_file on the host that is for this alone")
    if key_file and not key_file.startswith("/"):
        fields.refuse("key_file", f"is {key_file[:60]!r}; an absolute path on the host is accepted")
    known_hosts = fields.lines("known_hosts")
    known_hosts_file = fields.text("known_hosts_file", "")
    if bool(known_hosts) == bool(known_hosts_file):
        keyscan = f"ssh-keyscan -p {port} {host}" if port != 22 else f"ssh-keyscan {host}"
        found = "and known_hosts_file are both given" if known_hosts else "and known_hosts_file are both missing"
        fields.refuse("known_hosts", f"{found}; give the lines that `{keyscan}` prints, once you have compared them")
    settings = {
        "host": host,
        "port": str(port),
        "user": user,
        "key_file": key_file,
        "known_hosts_file": known_hosts_file,
        # Servers that offer nothing but SFTP are served too: no command is ever run there.
        "shell_type": "none",
        "disable_hashcheck": "true",
        "set_modtime": "false",
    }
    return Place(
        place=f"sftp://{user}@{host}:{port}/{path.removeprefix('/') if path.startswith('/') else '~/' + path}",
        base=path,
        settings={key: value for key, value in settings.items() if value},
        password=password,
        known_hosts=known_hosts,
    )


def local_place(fields: Fields) -> Place:
    """A folder of this host, best a mount: another disk, NFS, SMB."""
    path = fields.folder("path", absolute=True)
    return Place(place=path, base=path, settings={}, mounted=fields.flag("mounted", False))
