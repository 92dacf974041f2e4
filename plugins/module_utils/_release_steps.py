# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The steps of a deploy: each is written down when it begins, and timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any


class Steps:
    """`with steps("gate"):` tells that the step begins, and keeps the seconds it took.

    Args:
        tell: called with `step=` at the beginning of each, and with `release=` once that is known.
    """

    def __init__(self, tell: Callable[..., Any] = lambda **_found: None) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = tell

    def about(self, release: str) -> None:
        """Tell which release the steps are for."""
        self._tell(release=release)

    @contextlib.contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        self._tell(step=step)
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0) + time.monotonic() - start, 3)
