# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a host keeps on disk of an app: its flag, its releases, and which of them is kept warm. Only I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ._app_places import PORTS_RECORD, app_directory, flag_path
from ._files import flush_directory, make_folder, write_atomically, write_json
from ._release import Manifest, Stored

_MANIFESTS = "*Z-????????.json"


class Records:
    """The folder of one app."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(app_directory(name))
        self.releases = self.directory / "releases"
        self.lock_file = self.directory / "lock"
        self.flag = Path(flag_path(name))
        self.warm_file = self.directory / "warm.json"

    def prepare(self) -> None:
        """Make the folder."""
        # nginx has to see the flag, and nothing else: no listing for others.
        make_folder(self.directory, 0o711)
        make_folder(self.releases, 0o700)

    # The flag

    def live_slot(self) -> str:
        return "green" if self.flag.exists() else "blue"

    def flip(self, slot: str) -> None:
        """Make a slot the live one, for every request from now on."""
        if slot == "green":
            write_atomically(self.flag, "", mode=0o644)
        else:
            self.flag.unlink(missing_ok=True)
            flush_directory(self.flag.parent)

    # Releases

    def slot_port(self) -> int | None:
        """Return the first port of the app's block, as the module app_ports recorded it."""
        record = Path(PORTS_RECORD)
        ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
        return ports.get(self.name)

    def manifests(self) -> list[Manifest]:
        return [Manifest.from_json(json.loads(path.read_text())) for path in self.releases.glob(_MANIFESTS)]

    def stored(self, release: str) -> Stored | None:
        path = self.releases / f"{release}.env.json"
        return Stored(**json.loads(path.read_text())) if path.exists() else None

    def record(self, manifest: Manifest, stored: Stored | None = None) -> None:
        if stored is not None:
            write_json(self.releases / f"{manifest.release}.env.json", asdict(stored))
        write_json(self.releases / f"{manifest.release}.json", asdict(manifest))

    def finish(self, manifest: Manifest, result: str, **found: Any) -> None:
        """Record how a release ended: `live` or `failed`, and what was measured."""
        done = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.record(replace(manifest, result=result, finished=done, **found))

    def forget(self, gone: Iterable[Manifest]) -> None:
        for manifest in gone:
            (self.releases / f"{manifest.release}.env.json").unlink(missing_ok=True)
            (self.releases / f"{manifest.release}.json").unlink(missing_ok=True)

    def images_of_other_apps(self) -> set[str]:
        """Return the ids of the images that the releases of other apps need."""
        paths = self.directory.parent.glob(f"*/releases/{_MANIFESTS}")
        return {json.loads(path.read_text())["image_id"] for path in paths if path.parent != self.releases}

    def sweep(self) -> None:
        """Remove what a killed run left half-written."""
        for path in (*self.directory.glob(".*"), *self.releases.glob(".*")):
            path.unlink(missing_ok=True)

    # A release kept warm

    def warm(self, now: float) -> str:
        """Return the release whose web containers stay up for now, or nothing."""
        try:
            record = json.loads(self.warm_file.read_text())
        except (FileNotFoundError, ValueError):
            return ""
        return str(record["release"]) if record["until"] > now else ""

    def set_warm(self, release: str, until: float) -> None:
        if release:
            write_json(self.warm_file, {"release": release, "until": until})
        else:
            self.warm_file.unlink(missing_ok=True)
