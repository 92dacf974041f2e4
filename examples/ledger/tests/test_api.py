# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The API as its clients see it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import httpx
import pytest
from conftest import RELEASE, App


def new_account(client: httpx.Client) -> int:
    response = client.post("/api/v1/accounts", json={"name": uuid.uuid4().hex, "currency": "CHF"})
    assert response.status_code == 201, response.text
    return int(response.json()["id"])


def test_health_names_the_release(client: httpx.Client) -> None:
    response = client.get("/health")
    body = response.json()
    assert response.status_code == 200
    assert body.pop("timestamp")
    assert body == {
        "status": "ok",
        "version": "0.0.0",
        "environment": "development",
        "release": RELEASE,
        "database": "reachable",
    }


@pytest.mark.parametrize("host", ["127.0.0.1:9", "192.0.2.1:5432"], ids=["refused", "silent"])
def test_health_without_a_database_is_503_and_soon(start: Callable[..., App], host: str) -> None:
    app = start(DATABASE_URL=f"postgresql://ledger:s3ntinel@{host}/ledger")
    app.wait_for("running on")
    began = time.monotonic()
    response = httpx.get(f"{app.url}/health")
    assert time.monotonic() - began < 2
    assert (response.status_code, response.json()["database"]) == (503, "unreachable")
    assert httpx.get(f"{app.url}/api/v1/accounts", timeout=10).status_code == 503
    assert "s3ntinel" not in app.output


def test_an_account_from_creation_to_deletion(client: httpx.Client) -> None:
    account = f"/api/v1/accounts/{new_account(client)}"
    assert client.get(account).json()["balance"] == "0"
    assert client.patch(account, json={"name": f"  {(name := uuid.uuid4().hex)} "}).json()["name"] == name
    assert client.post("/api/v1/accounts", json={"name": name}).status_code == 409
    assert client.delete(account).status_code == 204
    assert client.get(account).status_code == 404


def test_entries_add_up_and_come_in_pages(client: httpx.Client) -> None:
    account = f"/api/v1/accounts/{new_account(client)}"
    for amount in ("0.10", "0.20", "-0.05"):
        assert client.post(f"{account}/entries", json={"amount": amount}).status_code == 201
    first = client.get(f"{account}/entries", params={"limit": 2}).json()
    last = client.get(f"{account}/entries", params={"limit": 2, "after": first["next"]}).json()
    assert [entry["amount"] for entry in first["items"] + last["items"]] == ["0.10", "0.20", "-0.05"]
    assert last["next"] is None
    assert client.get(account).json()["balance"] == "0.25"
    assert client.delete(account).status_code == 409


def test_a_repeated_post_with_a_reference_books_once(client: httpx.Client) -> None:
    account = f"/api/v1/accounts/{new_account(client)}"
    body = {"amount": "12.50", "reference": "invoice-7"}
    answers = [client.post(f"{account}/entries", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert client.post(f"{account}/entries", json={**body, "amount": "99"}).status_code == 409
    assert client.get(account).json()["balance"] == "12.50"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/accounts", {"name": " "}),
        ("/accounts", {"name": "a\x00b"}),
        ("/accounts", {"name": "x", "currency": "euro"}),
        ("/accounts", {"name": "x", "colour": "red"}),
        ("/accounts/1/entries", {"amount": "0.00"}),
        ("/accounts/1/entries", {"amount": "0.001"}),
        ("/accounts/1/entries", {"amount": "NaN"}),
        ("/accounts/99999999999999999999/entries", {"amount": "1"}),
        ("/jobs", {"kind": "mine-bitcoin"}),
    ],
)
def test_nonsense_is_refused(client: httpx.Client, path: str, body: dict[str, str]) -> None:
    assert client.post(f"/api/v1{path}", json=body).status_code == 422


def test_what_is_not_there_is_404(client: httpx.Client) -> None:
    assert client.get("/api/v1/accounts/9999999/entries").status_code == 404
    assert client.post("/api/v1/accounts/9999999/entries", json={"amount": "1"}).status_code == 404
    assert client.get("/api/v1/jobs/9999999").status_code == 404
