# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Accounts and their entries. Entries are never changed or deleted: a correction is another entry."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter, HTTPException, Response, status
from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from ledger.api.dependencies import After, Id, Limit, Session
from ledger.models import Account, Entry
from ledger.schemas import AccountIn, AccountOut, AccountPatch, EntryIn, EntryOut, Page

router = APIRouter(prefix="/accounts", tags=["accounts"])


def _with_balance() -> Select[Account, Decimal]:
    balance = select(func.coalesce(func.sum(Entry.amount), 0)).where(Entry.account_id == Account.id)
    return select(Account, balance.correlate(Account).scalar_subquery())


def _out(row: Row[Account, Decimal]) -> AccountOut:
    account, balance = row
    return AccountOut(
        id=account.id,
        name=account.name,
        currency=account.currency,
        balance=balance,
        created_at=account.created_at,
    )


async def _find(session: Session, account_id: int) -> AccountOut:
    row = (await session.execute(_with_balance().where(Account.id == account_id))).one_or_none()
    if row is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no account {account_id}")
    return _out(row)


@router.get("")
async def list_accounts(session: Session, after: After = 0, limit: Limit = 50) -> Page[AccountOut]:
    query = _with_balance().where(Account.id > after).order_by(Account.id).limit(limit + 1)
    rows = (await session.execute(query)).all()
    items = [_out(row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_account(session: Session, body: AccountIn) -> AccountOut:
    account = Account(name=body.name, currency=body.currency)
    session.add(account)
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, f"an account named {body.name!r} exists") from None
    return await _find(session, account.id)


@router.get("/{account_id}")
async def get_account(session: Session, account_id: Id) -> AccountOut:
    return await _find(session, account_id)


@router.patch("/{account_id}")
async def rename_account(session: Session, account_id: Id, body: AccountPatch) -> AccountOut:
    account = await session.get(Account, account_id)
    if account is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no account {account_id}")
    account.name = body.name
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, f"an account named {body.name!r} exists") from None
    return await _find(session, account_id)


@router.delete("/{account_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_account(session: Session, account_id: Id) -> None:
    account = await session.get(Account, account_id)
    if account is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no account {account_id}")
    await session.delete(account)
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, f"account {account_id} has entries") from None


@router.get("/{account_id}/entries")
async def list_entries(session: Session, account_id: Id, after: After = 0, limit: Limit = 50) -> Page[EntryOut]:
    await _find(session, account_id)
    query = select(Entry).where(Entry.account_id == account_id, Entry.id > after).order_by(Entry.id).limit(limit + 1)
    entries = (await session.scalars(query)).all()
    items = [EntryOut.model_validate(entry) for entry in entries[:limit]]
    return Page(items=items, next=items[-1].id if len(entries) > limit else None)


@router.post("/{account_id}/entries", status_code=status.HTTP_201_CREATED)
async def create_entry(session: Session, response: Response, account_id: Id, body: EntryIn) -> EntryOut:
    values = {"account_id": account_id, **body.model_dump()}
    add = insert(Entry).values(values).on_conflict_do_nothing(index_elements=["account_id", "reference"])
    try:
        entry = (await session.scalars(add.returning(Entry))).one_or_none()
        await session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no account {account_id}") from None
    if entry is None:
        same = select(Entry).where(Entry.account_id == account_id, Entry.reference == body.reference)
        entry = (await session.scalars(same)).one()
        if entry.amount != body.amount:
            raise HTTPException(status.HTTP_409_CONFLICT, f"reference {body.reference!r} is another entry")
        response.status_code = status.HTTP_200_OK
    return EntryOut.model_validate(entry)


@router.get("/{account_id}/entries/{entry_id}")
async def get_entry(session: Session, account_id: Id, entry_id: Id) -> EntryOut:
    entry = await session.get(Entry, entry_id)
    if entry is None or entry.account_id != account_id:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no entry {entry_id} in account {account_id}")
    return EntryOut.model_validate(entry)
