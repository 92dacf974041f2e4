# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the kinds of job do. A handler may run twice: each must be safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.models import Account, Entry

Payload = dict[str, Any]


class JobError(Exception):
    """A failure that its reader understands without a traceback."""


async def statement(session: AsyncSession, payload: Payload) -> Payload:
    account = await session.get(Account, payload["account_id"])
    if account is None:
        raise JobError(f"no account {payload['account_id']}")
    totals = select(func.count(), func.coalesce(func.sum(Entry.amount), 0)).where(Entry.account_id == account.id)
    entries, balance = (await session.execute(totals)).one()
    return {"account": account.name, "currency": account.currency, "entries": entries, "balance": str(balance)}


async def sleep(_session: AsyncSession, payload: Payload) -> Payload:
    await asyncio.sleep(payload["seconds"])
    return {"slept": payload["seconds"]}


HANDLERS: dict[str, Callable[[AsyncSession, Payload], Awaitable[Payload]]] = {"statement": statement, "sleep": sleep}
