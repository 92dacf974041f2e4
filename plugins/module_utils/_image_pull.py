# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Images from a registry: asked for first, then pulled by digest, and again where the network fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ._preflight import GIB, platform_problem, space_problem
from ._preflight_host import image_folder, image_platform, platform, space
from ._registry import NoAnswer, client, local_image, pull, remote_digest
from ._registry_answer import Auth, ImageError, split

__all__ = ["Fetched", "ImageError", "check_platform", "fetch"]

LONGEST_PAUSE = 10.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Fetched:
    """An image as it is on the host afterwards (id is empty if it is not there yet), and its digests."""

    changed: bool
    id: str
    digest: str
    before_digest: str = ""


def fetch(
    api: Any,
    name: str,
    *,
    auth: Auth | None = None,
    wait: bool = True,
    check: bool = False,
    retries: int = 3,
    min_free_bytes: int = GIB,
    notify: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Bring an image that is not here, or not in the registry's version, to this host.

    Args:
        api: the low-level Docker client.
        name: a reference with a tag or a digest.
        auth: a login for this pull alone; it is sent to the engine and kept nowhere. None: those of `docker login`.
        wait: whether to stay until it is here; otherwise the pull goes on in a process of its own.
        check: ask the registry, and pull nothing.
        retries: how often to try again where the network fails.
        min_free_bytes: what must be free before a pull.
        notify: called with a sentence for what deserves a warning.
        sleep: waits between the tries.

    Raises:
        ImageError: it cannot be had.
    """
    image_id, known = local_image(api, name)
    before = next(iter(sorted(known)), "")
    pinned = name.partition("@")[2]
    try:
        digest = pinned if image_id and pinned else ""
        if not digest:
            # Where the image is here already, a registry that is down must not cost the deploy its time.
            digest = _patiently(lambda: remote_digest(api, name, auth), 0 if image_id else retries, sleep)
    except NoAnswer as error:
        if not image_id:
            raise ImageError(
                f'image "{name}": the registry does not answer ({error}), and the image is not on this host; '
                'start the registry or correct "image", then run again.'
            ) from error
        notify(f'image "{name}": the registry does not answer ({error}); going on with the image on this host')
        return Fetched(False, image_id, before, before)
    if digest in known:
        return Fetched(False, image_id, digest, digest)
    check_space(api, name, min_free_bytes)
    if not check and wait:
        _pull_patiently(api, name, digest, auth, retries, sleep)
        image_id = local_image(api, name)[0]
    elif not check:
        begin(api, name, digest, auth, retries)
    return Fetched(True, image_id, digest, before)


def check_platform(api: Any, image: str) -> None:
    """Refuse an image on this host that was pulled, built or loaded for another machine.

    Raises:
        ImageError: it is for another platform.
    """
    problem = platform_problem(f'image "{image}"', image_platform(api, image), platform(api))
    if problem:
        raise ImageError(problem)


def check_space(api: Any, name: str, min_free_bytes: int) -> None:
    """Refuse a pull for which there is no room: an image arrives packed and is unpacked beside that.

    Raises:
        ImageError: too little is free where the engine keeps images.
    """
    folder = image_folder(api.info())
    if folder is None:
        return
    sizes = [image["Size"] for image in api.images(name=split(name)[0])]
    needed = max(min_free_bytes, 2 * max(sizes, default=0))
    what = "the pull (app_container_min_free)" if needed == min_free_bytes else "the pull"
    problem = space_problem(space(folder), needed, what)
    if problem:
        raise ImageError(f'image "{name}": {problem}')


def begin(api: Any, name: str, digest: str, auth: Auth | None, retries: int) -> None:
    """Start a pull that outlives this process. The engine downloads a layer once, however many ask for it.

    It is a process of this program and no `docker pull`, so that a password need not be written down anywhere.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if not os.fork():
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nowhere, stream)
            # What this process had open (a lock, the client's connections) stays its parent's alone.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            _pull_patiently(client(api.api_version), name, digest, auth, retries, time.sleep)
    finally:
        os._exit(0)


def _pull_patiently(
    api: Any, name: str, digest: str, auth: Auth | None, retries: int, sleep: Callable[[float], None]
) -> None:
    try:
        _patiently(lambda: pull(api, name, digest, auth), retries, sleep)
    except NoAnswer as error:
        raise ImageError(
            f'image "{name}": the registry stopped answering in mid-pull ({error}); nothing has changed on this host, '
            "run again once it answers."
        ) from error


def _patiently(ask: Callable[[], _Answer], retries: int, sleep: Callable[[float], None]) -> _Answer:
    """Ask again where the network fails, after 1, 2, 4 … seconds."""
    for attempt in range(retries):
        try:
            return ask()
        except NoAnswer as error:
            if error.worn:
                raise
            sleep(min(2.0**attempt, LONGEST_PAUSE))
    return ask()
