# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""`lock_timeout` for tools whose driver does not take it from us: asyncpg, JDBC and others. Only I/O."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType

from ._migration import MigrationError, milliseconds
from ._pg_session import Session

_POLL = 0.25
#: PostgreSQL itself comes first where the setting is in force.
_GRACE = 0.5


class LockWatch:
    """While it is open, cancels the tool's statements that wait longer for a table's lock than they may."""

    def __init__(self, session: Session, lock_timeout: str) -> None:
        self.limit = milliseconds(lock_timeout) / 1000 + _GRACE
        self.session = session
        self.cancelled = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, args=(session.now(),), daemon=True)

    def __enter__(self) -> LockWatch:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join(10)

    def _watch(self, since: str) -> None:
        seen: dict[int, float] = {}
        # A connection of its own: that of the run holds the lock, and may be lost only with it.
        with suppress(MigrationError), Session(self.session.url) as session:
            while not self.stop.wait(_POLL):
                now = time.monotonic()
                stuck = session.stuck(since)
                seen = {pid: seen.get(pid, now) for pid in stuck}
                for pid in [pid for pid, first in seen.items() if now - first > self.limit]:
                    session.cancel(pid)
                    self.cancelled += 1
                    del seen[pid]
