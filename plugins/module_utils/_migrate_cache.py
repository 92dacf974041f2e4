# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What an image's tool said of its migrations, kept on the host: the same files need no second container.

Losing it costs a second and nothing else, so no failure to read or write it is told.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ._files import make_folder, write_atomically

FOLDER = Path("/var/lib/quayside/cache/migrations")
KEPT = 50


def key_of(parts: Iterable[object]) -> str:
    """A name for everything that the answer depends on; a digest, as secrets can be among it."""
    return hashlib.sha256(json.dumps(list(parts), default=repr, sort_keys=True).encode()).hexdigest()


def load(key: str) -> Any:
    """What was stored under this key, or None."""
    path = FOLDER / f"{key}.json"
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        # The oldest by use go first.
        os.utime(path)
        return found
    return None


def store(key: str, value: Any) -> None:
    with suppress(OSError):
        make_folder(FOLDER, 0o700)
        write_atomically(FOLDER / f"{key}.json", json.dumps(value))
        by_age = sorted(FOLDER.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-KEPT]:
            path.unlink()
