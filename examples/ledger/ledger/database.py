# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The connection pool, and the probe that tells whether the database answers."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger.settings import Settings

log = logging.getLogger("ledger.database")


def connect_args(url: URL) -> dict[str, object]:
    """libpq options for connections that notice a dead server in seconds; the URL's own options win."""
    defaults: dict[str, object] = {
        "application_name": "ledger",
        "connect_timeout": 2,
        "tcp_user_timeout": 5000,
    }
    options = {name: value for name, value in defaults.items() if name not in url.query}
    # Prepared statements do not survive a transaction pooler such as PgBouncer.
    return {**options, "prepare_threshold": None}


def create_engine(settings: Settings) -> AsyncEngine:
    url = settings.sqlalchemy_url
    return create_async_engine(
        url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_timeout=5,
        pool_recycle=1800,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=connect_args(url),
    )


class Probe:
    """Asks the database for a sign of life, one question at a time however many callers wait for the answer.

    A caller gives up after `patience` seconds but the question stays open: cancelling it would make the driver open
    another connection, to the same silent server, only to say so.
    """

    def __init__(self, engine: AsyncEngine, patience: float = 1.5) -> None:
        self._engine = engine
        self._patience = patience
        self._question: asyncio.Task[bool] | None = None

    async def reachable(self) -> bool:
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask())
        # Another caller may ask anew as soon as this question is answered.
        question = self._question
        done, _ = await asyncio.wait({question}, timeout=self._patience)
        return bool(done) and question.result()

    async def close(self) -> None:
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait({self._question}, timeout=self._patience)

    async def _ask(self) -> bool:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:
            log.warning("database not reachable: %s", str(error).partition("\n")[0])
            return False
        return True
