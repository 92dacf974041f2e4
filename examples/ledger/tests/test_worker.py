# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Jobs, from the request that queues them to their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from conftest import App

WORKER = "ledger.worker"


@pytest.fixture(autouse=True)
def _no_jobs(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        connection.execute("DELETE FROM jobs")


def queue(client: httpx.Client, **job: Any) -> int:
    response = client.post("/api/v1/jobs", json=job)
    assert response.status_code == 202, response.text
    return int(response.json()["id"])


def ended(client: httpx.Client, job: int) -> dict[str, Any]:
    for _ in range(200):
        body: dict[str, Any] = client.get(f"/api/v1/jobs/{job}").json()
        if body["status"] in {"done", "failed"}:
            return body
        time.sleep(0.05)
    raise AssertionError(body)


def test_a_job_is_done(start: Callable[..., App], client: httpx.Client) -> None:
    start(WORKER)
    account = client.post("/api/v1/accounts", json={"name": "job", "currency": "EUR"}).json()["id"]
    client.post(f"/api/v1/accounts/{account}/entries", json={"amount": "7.00"})
    body = ended(client, queue(client, kind="statement", account_id=account))
    assert (body["status"], body["attempts"]) == ("done", 1)
    assert body["result"] == {"account": "job", "currency": "EUR", "entries": 1, "balance": "7.00"}


def test_a_job_that_fails_is_tried_again_and_then_given_up(start: Callable[..., App], client: httpx.Client) -> None:
    start(WORKER, JOB_RETRY_SECONDS="0.1", JOB_MAX_ATTEMPTS="3")
    body = ended(client, queue(client, kind="statement", account_id=999_999))
    assert (body["status"], body["attempts"], body["error"]) == ("failed", 3, "no account 999999")


def test_two_workers_share_without_doing_anything_twice(start: Callable[..., App], client: httpx.Client) -> None:
    workers = [start(WORKER), start(WORKER)]
    jobs = [queue(client, kind="sleep", seconds=0.1) for _ in range(20)]
    assert {ended(client, job)["attempts"] for job in jobs} == {1}
    shares = [worker.output.count(": done") for worker in workers]
    assert sum(shares) == 20
    assert min(shares) > 0


def test_sigterm_finishes_the_job_in_hand(start: Callable[..., App], client: httpx.Client) -> None:
    worker = start(WORKER)
    job = queue(client, kind="sleep", seconds=1)
    worker.wait_for("attempt 1")
    worker.term()
    assert worker.process.wait(timeout=5) == 0
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "done"


def test_a_job_too_long_for_the_shutdown_is_put_back(start: Callable[..., App], client: httpx.Client) -> None:
    worker = start(WORKER, GRACEFUL_SECONDS="1")
    job = queue(client, kind="sleep", seconds=30)
    worker.wait_for("attempt 1")
    worker.term()
    assert worker.process.wait(timeout=5) == 0
    body = client.get(f"/api/v1/jobs/{job}").json()
    assert (body["status"], body["attempts"]) == ("queued", 0)


def test_the_job_of_a_dead_worker_is_taken_over(start: Callable[..., App], client: httpx.Client, migrated: str) -> None:
    dying = start(WORKER)
    job = queue(client, kind="sleep", seconds=1)
    dying.wait_for("attempt 1")
    dying.process.kill()
    with psycopg.connect(migrated) as connection:
        connection.execute("UPDATE jobs SET due_at = now() WHERE id = %s", [job])
    start(WORKER)
    body = ended(client, job)
    assert (body["status"], body["attempts"]) == ("done", 2)
