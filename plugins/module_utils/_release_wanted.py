# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What is to be live: the app as it is listed, with its image, or a release that is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _app_jobs_host, _image_pull
from ._release import Stored, previous
from ._release_host import AppHost, ReleaseError
from ._release_request import Request
from ._release_schema import refuse_another


def listed(host: AppHost, request: Request, *, check: bool) -> Stored:
    """Return the app as it is given, with its image on the host; in a check perhaps without.

    Raises:
        ReleaseError: it has no usable image, or a job with a schedule that systemd does not know.
    """
    app = dict(request.app or {})
    try:
        _refuse_schedules(app)
        return Stored(app, request.secrets, _image(host, request, app, check=check))
    except _image_pull.ImageError as error:
        raise ReleaseError(str(error)) from error


def _image(host: AppHost, request: Request, app: Mapping[str, Any], *, check: bool) -> str:
    if app["source"] == "pull":
        fetched = _image_pull.fetch(
            host.api,
            app["image"],
            auth=dict(request.registry) if request.registry else None,
            check=check,
            min_free_bytes=request.min_free,
            notify=host.notify,
        )
        # In a check the registry may have another image than the host has under this name.
        return "" if check and fetched.changed else fetched.id
    image = host.image_id(app["image"])
    if image:
        _image_pull.check_platform(host.api, image)
    elif not check:
        raise ReleaseError(f'app "{host.name}": image {app["image"]} is not on this host; get it first.')
    return image or ""


def recorded(host: AppHost, request: Request) -> tuple[Stored, str]:
    """Return an old release and its id: the one that is named, or the one before the live one.

    Raises:
        ReleaseError: it is not recorded, its image is gone, or the database has another schema by now.
    """
    name, wanted = host.name, request.release or ""
    manifests = {manifest.release: manifest for manifest in host.records.manifests()}
    live = host.live()
    if wanted == "previous":
        found = previous(manifests.values(), live)
        if found is None:
            raise ReleaseError(f'app "{name}": no release that was live before is recorded; deploy one instead.')
        wanted = found.release
    stored = host.records.stored(wanted)
    if stored is None or wanted not in manifests:
        known = ", ".join(sorted(manifests)) or "none"
        raise ReleaseError(f'app "{name}": release "{wanted}" is not recorded; recorded are: {known}.')
    if host.image_id(stored.image_id) is None:
        raise ReleaseError(f'app "{name}": the image of release "{wanted}" is gone; deploy that version again.')
    refuse_another(request, manifests[wanted], stored, live)
    _refuse_schedules(stored.app)
    return stored, wanted


def _refuse_schedules(app: Mapping[str, Any]) -> None:
    try:
        problems = _app_jobs_host.schedule_problems(app)
    except _app_jobs_host.JobsError as error:
        problems = [str(error)]
    if problems:
        raise ReleaseError(" ".join(problems))
