# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the API takes and gives. Money travels as strings: JSON numbers are floats to most clients."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

# PostgreSQL's text cannot hold NUL.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00]*$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


def _not_zero(amount: Decimal) -> Decimal:
    if amount == 0:
        raise ValueError("must not be zero")
    return amount


Amount = Annotated[Decimal, Field(max_digits=18, decimal_places=2), AfterValidator(_not_zero)]


class In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: int | None = Field(description="Give it as `after` to get the following page; null on the last one.")


class AccountIn(In):
    name: Name
    currency: Currency = "EUR"


class AccountPatch(In):
    name: Name


class AccountOut(Out):
    id: int
    name: str
    currency: str
    balance: Decimal
    created_at: datetime


class EntryIn(In):
    amount: Amount
    description: Line = ""
    reference: Reference | None = Field(None, description="Makes a repeated POST return the first entry.")


class EntryOut(Out):
    id: int
    account_id: int
    amount: Decimal
    description: str
    reference: str | None
    created_at: datetime


class StatementIn(In):
    kind: Literal["statement"]
    account_id: Id


class SleepIn(In):
    kind: Literal["sleep"]
    seconds: float = Field(ge=0, le=300)


JobIn = Annotated[StatementIn | SleepIn, Field(discriminator="kind")]


class JobOut(Out):
    id: int
    kind: str
    payload: dict[str, Any]
    status: Literal["queued", "running", "done", "failed"]
    attempts: int
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class Health(BaseModel):
    status: Literal["ok", "degraded"]
    timestamp: datetime
    version: str
    environment: str
    release: str
    database: Literal["reachable", "unreachable"]
