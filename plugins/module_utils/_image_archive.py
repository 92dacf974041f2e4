# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What is in a `docker save` archive, told without loading it.

The layout is that of the OCI image specification with Docker's `manifest.json` beside it, or of Docker alone
(https://github.com/moby/docker-image-spec).
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ArchivedImage:
    """One image of an archive: its names, and the ids that an engine may know it by after loading."""

    tags: tuple[str, ...]
    ids: tuple[str, ...]


def images(manifest: Any, index: Any) -> list[ArchivedImage]:
    """Read `manifest.json`, and `index.json` (or None) whose digests are the ids in a containerd image store."""
    digests = [entry["digest"] for entry in (index or {}).get("manifests", [])]
    found = []
    for entry in manifest:
        config = entry["Config"].rpartition("/")[2].removesuffix(".json")
        # With one image the digests are its own; with several nothing tells whose they are.
        ids = [f"sha256:{config}", *(digests if len(manifest) == 1 else [])]
        found.append(ArchivedImage(tuple(entry.get("RepoTags") or ()), tuple(ids)))
    return found


def read(path: str) -> list[ArchivedImage]:
    """Return the images of an archive on this machine.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a `docker save` archive.
    """
    try:
        with tarfile.open(path) as archive:
            return images(_member(archive, "manifest.json"), _member(archive, "index.json"))
    except (tarfile.TarError, EOFError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError("it is not an archive that docker save wrote") from error


def _member(archive: tarfile.TarFile, name: str) -> Any:
    if name not in archive.getnames():
        return None
    stream = archive.extractfile(name)
    return json.load(stream) if stream else None


def problem(app: Mapping[str, Any]) -> str:
    """Return what is wrong with the archive of an app in normal form; empty if nothing is, or it has none."""
    if app["source"] != "archive":
        return ""
    label = f'app "{app["name"]}": archive is "{app["archive"]}"'
    accepted = "a file on the controller that docker save wrote"
    try:
        tags = [tag for image in read(app["archive"]) for tag in image.tags]
    except OSError as error:
        return f"{label}, which cannot be read ({error.strerror}); accepted: {accepted}."
    except ValueError as error:
        return f"{label}, but {error}; accepted: {accepted}."
    if app["image"] not in tags:
        return f"{label}, which holds {', '.join(tags) or 'no named image'}; accepted: one that holds {app['image']}."
    return ""


def ids(app: Mapping[str, Any]) -> list[str]:
    """Return the ids that the app's image may have on a host once its archive is loaded."""
    return [known for image in read(app["archive"]) if app["image"] in image.tags for known in image.ids]
