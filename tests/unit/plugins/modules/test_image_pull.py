# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the module makes of its options, and of what was fetched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._image_pull import Fetched
from ansible_collections.quayside.web.plugins.module_utils._registry_answer import ImageError
from ansible_collections.quayside.web.plugins.modules import image_pull

OPTIONS = {"name": "shop:1", "wait": True, "username": None, "password": None, "retries": 3, "min_free": "1g"}


def run(monkeypatch: pytest.MonkeyPatch, fetched: Fetched, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    asked: dict[str, Any] = {}

    def fetch(api: str, name: str, **arguments: Any) -> Fetched:
        asked.update(arguments, api=api, name=name)
        return fetched

    monkeypatch.setattr(image_pull, "fetch", fetch)
    module: Any = SimpleNamespace(params={**OPTIONS, **options}, check_mode=False, warn=None)
    return image_pull.run(module, "engine"), asked


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"auth": None, "retries": 3, "min_free_bytes": 1 << 30, "wait": True}),
        ({"username": "robot", "password": "x"}, {"auth": {"username": "robot", "password": "x"}}),
        ({"min_free": "300m", "retries": 0, "wait": False}, {"min_free_bytes": 300 << 20, "retries": 0, "wait": False}),
        ({"min_free": "0m"}, {"min_free_bytes": 0}),
    ],
)
def test_options(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: dict[str, Any]) -> None:
    _result, asked = run(monkeypatch, Fetched(False, "sha256:1", "sha256:2"), **options)
    assert {"api": "engine", "name": "shop:1", "check": False, **expected}.items() <= asked.items()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_free": "1"}, 'min_free is "1"; accepted: a size such as 512m or 1g.'),
        ({"min_free": "1 GB"}, 'min_free is "1 GB"; accepted'),
        ({"retries": -1}, "retries is -1; accepted: 0 or more."),
    ],
)
def test_options_that_are_refused(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        run(monkeypatch, Fetched(False, "", ""), **options)


@pytest.mark.parametrize(
    ("fetched", "diff"),
    [
        (Fetched(True, "", "sha256:2"), {"before": "none\n", "after": "sha256:2\n"}),
        (Fetched(True, "", "sha256:2", "sha256:1"), {"before": "sha256:1\n", "after": "sha256:2\n"}),
        (Fetched(False, "", "sha256:1", "sha256:1"), {}),
    ],
)
def test_the_diff_shows_the_digests(monkeypatch: pytest.MonkeyPatch, fetched: Fetched, diff: dict[str, str]) -> None:
    result, _asked = run(monkeypatch, fetched)
    assert (result["changed"], result["diff"]) == (fetched.changed, diff)
