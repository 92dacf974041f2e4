# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""When an image is pulled, and what is said where it cannot be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.modules import image_pull

OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NAME = "registry.example.com:5000/team/shop:1.2"


class ApiError(Exception):
    def __init__(self, explanation: str, status_code: int = 500) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.status_code = status_code


class NotFound(ApiError):
    pass


class ImageNotFound(NotFound):
    pass


class RequestException(Exception):
    pass


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins, for these tests run where the Docker SDK is not installed too."""
    errors = SimpleNamespace(
        APIError=ApiError, NotFound=NotFound, ImageNotFound=ImageNotFound, DockerException=ApiError
    )
    monkeypatch.setattr(image_pull, "docker", SimpleNamespace(errors=errors), raising=False)
    monkeypatch.setattr(image_pull, "requests", SimpleNamespace(RequestException=RequestException), raising=False)


class Api:
    """An engine that has `local` (digests of the image by that name, or None) and a registry that has `remote`."""

    def __init__(self, local: list[str] | None, remote: str | Exception, platforms: list[Any] | None = None) -> None:
        self.local = local
        self.remote = remote
        self.platforms = platforms
        self.calls: list[tuple[str, ...]] = []
        self.stream: list[dict[str, str]] = [{"status": "Pulling"}]

    def inspect_image(self, name: str) -> dict[str, Any]:
        assert name == NAME or "@" in name
        if self.local is None:
            raise ImageNotFound("no such image")
        return {"Id": "sha256:local", "RepoDigests": [f"{NAME.rpartition(':')[0]}@{digest}" for digest in self.local]}

    def inspect_distribution(self, name: str) -> dict[str, Any]:
        self.calls.append(("ask", name))
        if isinstance(self.remote, Exception):
            raise self.remote
        return {"Descriptor": {"digest": self.remote}, "Platforms": self.platforms}

    def version(self) -> dict[str, str]:
        return {"Os": "linux", "Arch": "amd64"}

    def pull(self, repository: str, tag: str, **_options: Any) -> list[dict[str, str]]:
        self.calls.append(("pull", repository, tag))
        self.local = [tag]
        return self.stream

    def tag(self, image: str, repository: str, tag: str) -> None:
        self.calls.append(("tag", image, repository, tag))


def run(api: Api, name: str = NAME, check: bool = False, wait: bool = True) -> tuple[dict[str, Any], list[str]]:
    warnings: list[str] = []
    module = SimpleNamespace(params={"name": name, "wait": wait}, check_mode=check, warn=warnings.append)
    return image_pull.run(module, api), warnings  # type: ignore[arg-type]


REPOSITORY = "registry.example.com:5000/team/shop"
PULLED = [("ask", NAME), ("pull", REPOSITORY, NEW), ("tag", f"{REPOSITORY}@{NEW}", REPOSITORY, "1.2")]


@pytest.mark.parametrize(
    ("local", "calls", "changed"),
    [
        pytest.param(None, PULLED, True, id="not there"),
        pytest.param([OLD], PULLED, True, id="another digest"),
        pytest.param([], PULLED, True, id="loaded or built, no digest"),
        pytest.param([NEW], PULLED[:1], False, id="the same"),
        pytest.param([OLD, NEW], PULLED[:1], False, id="known by two digests"),
    ],
)
def test_it_is_pulled_by_digest_where_that_is_not_here(
    local: list[str] | None, calls: list[tuple[str, ...]], changed: bool
) -> None:
    checked = Api(local, NEW)
    would, _warnings = run(checked, check=True)
    assert checked.calls == PULLED[:1], "a check pulls nothing"
    api = Api(local, NEW)
    did, warnings = run(api)
    assert api.calls == calls
    assert (would["changed"], did["changed"]) == (changed, changed)
    assert did["digest"] == NEW
    assert did["diff"] == would["diff"]
    assert warnings == []


@pytest.mark.parametrize(
    ("local", "check", "begun"),
    [
        pytest.param(None, False, [f"{REPOSITORY}@{NEW}"], id="not there"),
        pytest.param([NEW], False, [], id="there"),
        pytest.param(None, True, [], id="a check"),
    ],
)
def test_without_waiting_a_pull_is_only_begun(
    monkeypatch: pytest.MonkeyPatch, local: list[str] | None, check: bool, begun: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(image_pull, "begin_pull", asked.append)
    api = Api(local, NEW)
    result, _warnings = run(api, check=check, wait=False)
    assert asked == begun
    assert api.calls == PULLED[:1]
    assert result["changed"] is (local is None)


def test_a_pinned_image_that_is_here_needs_no_registry() -> None:
    api = Api([OLD], ConnectionError())
    result, _warnings = run(api, f"{REPOSITORY}@{OLD}")
    assert (result["changed"], api.calls) == (False, [])


def test_a_pinned_image_is_pulled_without_a_tag() -> None:
    api = Api(None, NEW)
    run(api, f"{REPOSITORY}@{NEW}")
    assert api.calls[1:] == [("pull", REPOSITORY, NEW)]


@pytest.mark.parametrize("error", [ApiError("dial tcp: refused"), RequestException("timed out")])
def test_without_the_registry_an_image_that_is_here_will_do(error: Exception) -> None:
    result, warnings = run(Api([OLD], error))
    assert (result["changed"], result["digest"]) == (False, OLD)
    assert "the registry does not answer" in warnings[0]
    with pytest.raises(image_pull.PullError, match="the registry does not answer"):
        run(Api(None, error))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotFound("manifest unknown", 404), "has none by that name and tag"),
        (ApiError("denied", 403), 'run "docker login"'),
        (ApiError("no basic auth credentials", 401), 'run "docker login"'),
    ],
)
@pytest.mark.parametrize("local", [None, [OLD]])
def test_a_registry_that_answers_no_is_believed(local: list[str] | None, error: Exception, said: str) -> None:
    with pytest.raises(image_pull.PullError, match=said):
        run(Api(local, error))


@pytest.mark.parametrize(
    ("platforms", "good"),
    [
        (None, True),
        ([], True),
        ([{"os": "linux", "architecture": "amd64"}], True),
        ([{"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "amd64"}], True),
        ([{"os": "linux", "architecture": "arm64"}], False),
        ([{"os": "windows", "architecture": "amd64"}], False),
    ],
)
def test_an_image_for_another_machine_is_refused_before_the_pull(platforms: list[Any] | None, good: bool) -> None:
    api = Api(None, NEW, platforms)
    if good:
        run(api)
        return
    with pytest.raises(image_pull.PullError, match="this host needs linux/amd64"):
        run(api)
    assert len(api.calls) == 1


def test_a_pull_that_breaks_is_told() -> None:
    api = Api(None, NEW)
    api.stream = [{"status": "Pulling"}, {"error": "unexpected EOF"}]
    with pytest.raises(image_pull.PullError, match="the pull failed: unexpected EOF"):
        run(api)
