# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""No app disappears unasked."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._app_removal import Left, problems, unlisted

OLD = Left("old", ("old.test", "www.old.test"), ("old-blue-web-1", "old-blue-mail-1"), ("quayside-job-old.report",))
BARE = Left("bare")


@pytest.mark.parametrize(
    ("on_host", "listed", "expected"),
    [
        ([], ["shop"], []),
        (["shop"], ["shop", "blog"], []),
        (["shop", "old", "bare", "old"], ["shop"], ["bare", "old"]),
        (["shop"], [], ["shop"]),
    ],
)
def test_unlisted(on_host: list[str], listed: list[str], expected: list[str]) -> None:
    assert unlisted(on_host, listed) == expected


@pytest.mark.parametrize(
    ("left", "confirmed", "words"),
    [
        pytest.param([], [], [], id="all is listed"),
        pytest.param(
            [OLD],
            [],
            ['app "old"', "(old.test, www.old.test), 2 containers, 1 timer and its releases", "-e confirm=old"],
            id="not confirmed",
        ),
        pytest.param([BARE], [], ['app "bare"', "its site and its releases", "-e confirm=bare"], id="only its ports"),
        pytest.param([OLD], ["old"], [], id="confirmed"),
        pytest.param([], ["gone"], [], id="gone by now"),
        pytest.param([OLD], ["ol"], ['app "old"'], id="another name"),
        pytest.param([OLD], ["old", "shop"], ['app "shop": confirm names it'], id="a listed one"),
    ],
)
def test_problems(left: list[Left], confirmed: list[str], words: list[str]) -> None:
    found = problems(left, ["shop"], confirmed)
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


def test_each_app_is_named() -> None:
    named = [sentence.partition(" is ")[0] for sentence in problems([OLD, BARE], [], [])]
    assert named == ['app "old"', 'app "bare"']
    assert len(problems([OLD, BARE], [], ["bare"])) == 1
