# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""When an image is pulled, how often that is tried, and what is said where it cannot be had."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _image_pull, _registry
from ansible_collections.quayside.web.plugins.module_utils._image_pull import Fetched, ImageError, check_platform, fetch
from ansible_collections.quayside.web.plugins.module_utils._preflight import GIB, MIB, Space
from ansible_collections.quayside.web.plugins.module_utils._registry_answer import kind, split

OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
REPOSITORY = "registry.example.com:5000/team/shop"
NAME = f"{REPOSITORY}:1.2"
LOGIN = {"username": "robot", "password": "s3ntinel"}


class ApiError(Exception):
    def __init__(self, explanation: str, status_code: int = 500) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.status_code = status_code


class ImageNotFound(ApiError):
    pass


class TimedOut(Exception):
    pass


class NoConnection(Exception):
    pass


class BrokenStream(Exception):
    pass


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins, for these tests run where the Docker SDK is not installed too."""
    errors = SimpleNamespace(APIError=ApiError, ImageNotFound=ImageNotFound)
    requests = SimpleNamespace(Timeout=TimedOut, ConnectionError=NoConnection)
    monkeypatch.setattr(_registry, "docker", SimpleNamespace(errors=errors), raising=False)
    monkeypatch.setattr(_registry, "requests", requests, raising=False)
    monkeypatch.setattr(_registry, "HTTPError", BrokenStream, raising=False)


Step = dict[str, Any]


class Api:
    """An engine that has `local` (digests of the image by that name, or None), and a registry that has `remote`.

    Exceptions in `remote`, and streams in `pulls`, are used up one at a time; the last one stays.
    """

    api_version = "1.41"

    def __init__(self, local: list[str] | None, *remote: str | Exception, platforms: list[Any] | None = None) -> None:
        self.local = local
        self.remote = list(remote)
        self.platforms = platforms
        self.pulls: list[list[Step] | Exception] = [[{"status": "Pulling"}]]
        self.calls: list[tuple[Any, ...]] = []
        self.logins: list[Any] = []
        self.sizes: list[int] = []

    def request(self, method: str, url: str, **options: Any) -> Any:
        return options.get("timeout")

    def inspect_image(self, name: str) -> dict[str, Any]:
        assert name == NAME or "@" in name
        if self.local is None:
            raise ImageNotFound("no such image", 404)
        return {"Id": "sha256:local", "RepoDigests": [f"{REPOSITORY}@{digest}" for digest in self.local]}

    def inspect_distribution(self, name: str, auth_config: Any) -> dict[str, Any]:
        self.calls.append(("ask", name))
        self.logins.append(auth_config)
        answer = self.remote.pop(0) if len(self.remote) > 1 else self.remote[0]
        if isinstance(answer, Exception):
            raise answer
        return {"Descriptor": {"digest": answer}, "Platforms": self.platforms}

    def version(self) -> dict[str, str]:
        return {"Os": "linux", "Arch": "amd64"}

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": "/", "DriverStatus": []}

    def images(self, name: str) -> list[dict[str, Any]]:
        assert name == REPOSITORY
        return [{"Size": size} for size in self.sizes]

    def pull(self, repository: str, tag: str, *, stream: bool, decode: bool, auth_config: Any) -> Any:
        self.calls.append(("pull", repository, tag))
        self.logins.append(auth_config)
        assert self.request("POST", "/images/create", timeout=None) == _registry.SILENCE
        steps = self.pulls.pop(0) if len(self.pulls) > 1 else self.pulls[0]
        if isinstance(steps, Exception):
            raise steps
        yield from steps
        self.local = [tag]

    def tag(self, image: str, repository: str, tag: str) -> None:
        self.calls.append(("tag", image, repository, tag))


class Run:
    """One call of fetch, with its warnings and pauses."""

    def __init__(self, api: Api, name: str = NAME, **options: Any) -> None:
        self.warnings: list[str] = []
        self.pauses: list[float] = []
        options = {"min_free_bytes": 0, **options}
        self.fetched = fetch(api, name, notify=self.warnings.append, sleep=self.pauses.append, **options)


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image_pull, "space", lambda path: Space(path, 10 * GIB, 1_000_000))


ASKED = ("ask", NAME)
PULL = ("pull", REPOSITORY, NEW)
TAG = ("tag", f"{REPOSITORY}@{NEW}", REPOSITORY, "1.2")


@pytest.mark.parametrize(
    ("local", "calls", "changed"),
    [
        pytest.param(None, [ASKED, PULL, TAG], True, id="not there"),
        pytest.param([OLD], [ASKED, PULL, TAG], True, id="another digest"),
        pytest.param([], [ASKED, PULL, TAG], True, id="loaded or built, no digest"),
        pytest.param([NEW], [ASKED], False, id="the same"),
        pytest.param([OLD, NEW], [ASKED], False, id="known by two digests"),
    ],
)
def test_it_is_pulled_by_digest_where_that_is_not_here(
    local: list[str] | None, calls: list[tuple[str, ...]], changed: bool
) -> None:
    checked = Api(local, NEW)
    would = Run(checked, check=True).fetched
    assert checked.calls == [ASKED], "a check pulls nothing"
    api = Api(local, NEW)
    did = Run(api)
    assert api.calls == calls
    assert (would.changed, did.fetched.changed) == (changed, changed)
    assert (would.digest, would.before_digest) == (did.fetched.digest, did.fetched.before_digest)
    assert did.fetched.digest == NEW
    assert did.fetched.id == "sha256:local"
    assert did.warnings == did.pauses == []


def test_a_pinned_image_that_is_here_needs_no_registry() -> None:
    api = Api([OLD], NoConnection())
    assert Run(api, f"{REPOSITORY}@{OLD}").fetched == Fetched(False, "sha256:local", OLD, OLD)
    assert api.calls == []


def test_a_pinned_image_is_pulled_without_a_tag() -> None:
    api = Api(None, NEW)
    Run(api, f"{REPOSITORY}@{NEW}")
    assert api.calls[1:] == [PULL]


@pytest.mark.parametrize(("auth", "sent"), [(None, None), (LOGIN, LOGIN)])
def test_a_login_goes_with_the_question_and_the_pull(auth: Any, sent: Any) -> None:
    api = Api(None, NEW)
    Run(api, auth=auth)
    assert api.logins == [sent, sent]


DOWN = ApiError('Get "https://registry.example.com:5000/v2/": dial tcp: connect: connection refused')


@pytest.mark.parametrize("failure", [DOWN, TimedOut("read timed out")], ids=["refused", "silent"])
def test_without_the_registry_an_image_that_is_here_will_do(failure: Exception) -> None:
    run = Run(Api([OLD], failure))
    assert run.fetched == Fetched(False, "sha256:local", OLD, OLD)
    assert "the registry does not answer" in run.warnings[0]
    assert run.pauses == [], "a deploy does not wait for what it does not need"


def test_without_the_registry_an_image_that_is_not_here_is_asked_for_again() -> None:
    run = Run(Api(None, DOWN, DOWN, NEW))
    assert run.fetched.changed
    assert run.pauses == [1, 2]
    api = Api(None, DOWN)
    with pytest.raises(ImageError, match=r"the registry does not answer .* and the image is not on this host"):
        Run(api, retries=5)
    assert api.calls == [ASKED] * 6


@pytest.mark.parametrize(
    ("error", "auth", "said"),
    [
        (ApiError("manifest unknown", 404), None, "has none by that name and tag"),
        (ApiError("denied", 403), None, 'run "docker login"'),
        (ApiError('Head "https://…": no basic auth credentials', 500), None, 'give "registry"'),
        (
            ApiError("unauthorized: authentication required", 401),
            LOGIN,
            'login of "robot" .*; correct registry.user',
        ),
        (ApiError("toomanyrequests: You have reached your pull rate limit", 500), None, "allows no more pulls"),
        (
            ApiError("x509: certificate signed by unknown authority", 500),
            None,
            r"certs\.d/registry\.example\.com:5000/",
        ),
    ],
)
@pytest.mark.parametrize("local", [None, [OLD]], ids=["missing", "there"])
def test_a_registry_that_answers_no_is_believed_at_once(
    local: list[str] | None, error: Exception, auth: Any, said: str
) -> None:
    api = Api(local, error)
    with pytest.raises(ImageError, match=said) as raised:
        Run(api, auth=auth)
    assert api.calls == [ASKED]
    assert LOGIN["password"] not in str(raised.value)


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
    api = Api(None, NEW, platforms=platforms)
    if good:
        assert Run(api).fetched.changed
        return
    with pytest.raises(ImageError, match="this host needs linux/amd64"):
        Run(api)
    assert api.calls == [ASKED]


@pytest.mark.parametrize(("machine", "good"), [("amd64", True), ("", True), ("arm64", False)])
def test_an_image_on_the_host_for_another_machine(machine: str, good: bool) -> None:
    api = Api(None, NEW)
    api.inspect_image = lambda name: {"Os": "linux" if machine else "", "Architecture": machine}  # type: ignore[method-assign]
    if good:
        check_platform(api, "shop:1")
        return
    with pytest.raises(ImageError, match='image "shop:1" is for linux/arm64; this host needs linux/amd64'):
        check_platform(api, "shop:1")


# A registry that goes away in mid-pull


@pytest.mark.parametrize(
    "failure",
    [
        [{"status": "Pulling"}, {"error": "unexpected EOF"}],
        DOWN,
        TimedOut("no word"),
        BrokenStream("read timed out"),
    ],
    ids=["in the stream", "at the start", "the request", "silence"],
)
def test_a_pull_that_breaks_is_tried_again(failure: Any) -> None:
    api = Api([OLD], NEW)
    api.pulls = [failure, failure, [{"status": "Pulling"}]]
    run = Run(api)
    assert run.fetched == Fetched(True, "sha256:local", NEW, OLD)
    assert run.pauses == [1, 2]
    assert api.request("GET", "/", timeout=7) == 7, "other requests keep their own time"


def test_after_so_many_tries_a_pull_is_given_up() -> None:
    api = Api(None, NEW)
    api.pulls = [DOWN]
    with pytest.raises(ImageError, match=r"stopped answering in mid-pull .* nothing has changed on this host"):
        Run(api, retries=6)
    assert api.calls.count(PULL) == 7
    assert TAG not in api.calls


def test_what_the_engine_has_tried_many_times_is_not_tried_again() -> None:
    api = Api(None, NEW)
    api.pulls = [[{"status": "Retrying in 5 seconds"}, {"error": "dial tcp: connect: connection refused"}]]
    with pytest.raises(ImageError, match="in mid-pull"):
        Run(api)
    assert api.calls.count(PULL) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "the disk is full"),
        ("unauthorized: authentication required", "refuses access"),
    ],
)
def test_other_failures_of_a_pull_are_final(text: str, said: str) -> None:
    api = Api(None, NEW)
    api.pulls = [[{"error": text}]]
    with pytest.raises(ImageError, match=said):
        Run(api)
    assert api.calls.count(PULL) == 1


def test_an_engine_that_is_gone_is_not_taken_for_the_registry() -> None:
    with pytest.raises(ImageError, match="the Docker engine stopped answering"):
        Run(Api([OLD], NoConnection("no such file")))


# Room


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("free", "sizes", "needed"),
    [
        pytest.param(2 * GIB, [], "", id="enough"),
        pytest.param(2 * GIB - 1, [], "2.0 GiB", id="less than asked for"),
        pytest.param(4 * GIB, [2 * GIB, 500 * MIB], "", id="twice the image"),
        pytest.param(4 * GIB - 1, [500 * MIB, 2 * GIB], "4.0 GiB", id="less than twice the image"),
    ],
)
def test_room_is_made_sure_of_first(
    monkeypatch: pytest.MonkeyPatch, free: int, sizes: list[int], needed: str, check: bool
) -> None:
    monkeypatch.setattr(_image_pull, "space", lambda path: Space(path, free, 1_000_000))
    api = Api([OLD], NEW)
    api.sizes = sizes
    if not needed:
        assert Run(api, min_free_bytes=2 * GIB, check=check).fetched.changed
        return
    with pytest.raises(ImageError, match=f'image "{NAME}": / has .* GiB free, and the pull .*needs {needed}'):
        Run(api, min_free_bytes=2 * GIB, check=check)
    assert api.calls == [ASKED]


def test_an_image_that_is_here_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image_pull, "space", lambda path: Space(path, 0, 0))
    assert not Run(Api([NEW], NEW), min_free_bytes=GIB).fetched.changed


# Without waiting


@pytest.mark.parametrize(
    ("local", "check", "begun"),
    [
        pytest.param(None, False, True, id="not there"),
        pytest.param([NEW], False, False, id="there"),
        pytest.param(None, True, False, id="a check"),
    ],
)
def test_without_waiting_a_pull_is_only_begun(
    monkeypatch: pytest.MonkeyPatch, local: list[str] | None, check: bool, begun: bool
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(_image_pull, "begin", lambda *arguments: asked.append(arguments))
    api = Api(local, NEW)
    fetched = Run(api, check=check, wait=False, auth=LOGIN).fetched
    assert asked == ([(api, NAME, NEW, LOGIN, 3)] if begun else [])
    assert api.calls == [ASKED]
    assert fetched.changed is (local is None)


def test_a_pull_goes_on_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    class Own(Api):
        def tag(self, image: str, repository: str, tag: str) -> None:
            (tmp_path / "seen.part").write_text(f"{image} {self.logins} {Path('/proc/self/fd/1').readlink()}")
            (tmp_path / "seen.part").rename(seen)

    monkeypatch.setattr(_image_pull, "client", lambda version: Own(None, NEW))
    api = Api(None, NEW)
    _image_pull.begin(api, NAME, NEW, LOGIN, 0)
    deadline = time.monotonic() + 10
    while not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen.read_text() == f"{REPOSITORY}@{NEW} {[LOGIN]} /dev/null"
    assert api.calls == [], "the client of this process is not shared"


# The parts


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (404, "no such thing", "missing"),
        (404, "pull access denied for shop, repository does not exist or may require 'docker login'", "refused"),
        (500, "Get https://…: dial tcp: lookup registry.example.com: no such host", "network"),
        (500, "net/http: TLS handshake timeout", "network"),
        (500, "received unexpected HTTP status: 503 Service Unavailable", "network"),
        (500, "open /var/lib/docker/tmp/x: permission denied", "network"),
        (429, "slow down", "limited"),
        (None, "no matching manifest for linux/amd64 in the manifest list entries", "platform"),
        (500, 'Get "https://…": http: server gave HTTP response to HTTPS client', "untrusted"),
    ],
)
def test_what_a_failure_is_about(status: int | None, text: str, expected: str) -> None:
    assert kind(status, text) == expected


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("shop:1", ("shop", "1")),
        ("registry:5000/shop", ("registry:5000/shop", "")),
        (NAME, (REPOSITORY, "1.2")),
        (f"{NAME}@{OLD}", (REPOSITORY, "1.2")),
        (f"{REPOSITORY}@{OLD}", (REPOSITORY, "")),
    ],
)
def test_references(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts
