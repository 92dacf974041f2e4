# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The engine's talk with image registries: one question, one pull, and what went wrong. Only I/O."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._preflight import platform_problem
from ._preflight_host import platform
from ._registry_answer import Auth, ImageError, explain, kind, split

try:
    import docker
    import docker.errors
    import requests
    from urllib3.exceptions import HTTPError

    DOCKER_ERROR: str | None = None
except ImportError as error:
    DOCKER_ERROR = str(error)

#: The engine tells of every step; after so many seconds without a word the registry hangs, and so would the deploy.
SILENCE = 120.0


class NoAnswer(Exception):
    """The registry does not answer, or not to the end. worn: the engine has tried again many times already."""

    def __init__(self, text: str, worn: bool = False) -> None:
        super().__init__(text)
        self.worn = worn


class NoEngine(Exception):
    """There is no Docker on this host, or it does not answer."""


def client(version: str = "auto") -> Any:
    """Return the low-level client of this host's engine.

    Raises:
        NoEngine: there is none.
    """
    if DOCKER_ERROR:
        raise NoEngine(f"The Docker SDK for Python is not on this host ({DOCKER_ERROR}); run the docker role.")
    try:
        return docker.from_env(version=version).api
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise NoEngine(f"Docker does not answer on this host ({error}); run the docker role.") from error


def local_image(api: Any, name: str) -> tuple[str, set[str]]:
    """Return the id of the image on the host, and the registry's digests it is known by."""
    try:
        image = api.inspect_image(name)
    except docker.errors.ImageNotFound:
        return "", set()
    return image["Id"], {digest.rpartition("@")[2] for digest in image["RepoDigests"] or []}


def remote_digest(api: Any, name: str, auth: Auth | None = None) -> str:
    """Return the digest behind a reference, from its registry.

    Raises:
        ImageError: the registry has no such image, refuses, or has none for this architecture.
    """
    with _failures(name, auth):
        answer = api.inspect_distribution(name, auth_config=_config(auth))
    wanted = platform(api)
    offered = {f"{item.get('os')}/{item.get('architecture')}" for item in answer.get("Platforms") or []}
    if offered and wanted not in offered:
        raise ImageError(platform_problem(f'image "{name}" in its registry', ", ".join(sorted(offered)), wanted))
    return str(answer["Descriptor"]["digest"])


def pull(api: Any, name: str, digest: str, auth: Auth | None) -> None:
    """Pull by digest, and give the image the name it was asked for by."""
    repository, tag = split(name)
    worn = False
    with _failures(name, auth), _talking(api):
        for step in api.pull(repository, tag=digest, stream=True, decode=True, auth_config=_config(auth)):
            worn = worn or str(step.get("status", "")).startswith("Retrying in")
            if "error" in step:
                raise _failure(name, auth, None, str(step["error"]), worn)
    if tag:
        api.tag(f"{repository}@{digest}", repository, tag)


def _config(auth: Auth | None) -> dict[str, str] | None:
    return {"username": auth["username"], "password": auth["password"]} if auth else None


def _failure(name: str, auth: Auth | None, status: int | None, text: str, worn: bool = False) -> Exception:
    text = " ".join(text.split())[:300]
    found = kind(status, text)
    return NoAnswer(text, worn) if found == "network" else ImageError(explain(name, found, text, auth))


@contextmanager
def _failures(name: str, auth: Auth | None) -> Iterator[None]:
    """Tell apart what the registry refuses, what trying again may cure, and an engine that is gone."""
    try:
        yield
    except docker.errors.APIError as error:
        raise _failure(name, auth, error.status_code, str(error.explanation or error)) from error
    except (requests.Timeout, HTTPError) as error:
        raise NoAnswer(f"no word for {SILENCE:g} s: {error}") from error
    except requests.ConnectionError as error:
        raise ImageError(
            f'image "{name}": the Docker engine stopped answering ({error}); see "docker info".'
        ) from error


@contextmanager
def _talking(api: Any) -> Iterator[None]:
    """End a request that hears nothing for too long: the Docker client itself waits forever for a pull."""
    ask = api.request
    api.request = lambda method, url, **options: ask(method, url, **{**options, "timeout": SILENCE})
    try:
        yield
    finally:
        del api.request
