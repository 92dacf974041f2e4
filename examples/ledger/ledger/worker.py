# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Do the queued jobs: `python -m ledger.worker`. Run as many as you like, also of two releases at once.

A worker takes a job by a lease, not by an open transaction: a worker that dies mid-job costs the job one attempt and
is succeeded when its lease runs out, and nothing stays locked meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ledger import logs, settings
from ledger.database import create_engine
from ledger.jobs import HANDLERS, JobError, Payload
from ledger.models import Job
from ledger.settings import Settings

log = logging.getLogger("ledger.worker")
LEASE_MARGIN = 30


@dataclass(frozen=True)
class Claim:
    """A job in hand. The attempt's number is what tells this holder from a later one."""

    id: int
    kind: str
    payload: Payload
    attempt: int


class Worker:
    def __init__(self, sessions: async_sessionmaker[AsyncSession], config: Settings) -> None:
        self._sessions = sessions
        self._config = config
        self._lease = timedelta(seconds=config.job_timeout_seconds + LEASE_MARGIN)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = await self.step()
            except (SQLAlchemyError, OSError) as error:
                log.error("database: %s", str(error).partition("\n")[0])
                busy = False
            if not busy:
                await self._stopped_within(self._config.worker_poll_seconds)

    async def step(self) -> bool:
        """Do one job, if there is one to do."""
        claim = await self.claim()
        if claim is None:
            return False
        log.info("job %d (%s): attempt %d", claim.id, claim.kind, claim.attempt)
        work = asyncio.create_task(self._work(claim))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        done, _ = await asyncio.wait({work}, timeout=self._config.graceful_seconds)
        if not done:
            work.cancel()
            await asyncio.wait({work}, timeout=1)
            await self._update(claim, status="queued", attempts=claim.attempt - 1, due_at=func.now())
            log.warning("job %d: put back, it did not finish before the shutdown", claim.id)
            return True
        await self._record(claim, work)
        return True

    async def claim(self) -> Claim | None:
        due = (
            select(Job)
            .where(Job.status.in_(["queued", "running"]), Job.due_at <= func.now())
            .order_by(Job.due_at, Job.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self._sessions.begin() as session:
            job = (await session.scalars(due)).one_or_none()
            if job is None:
                return None
            if job.attempts >= self._config.job_max_attempts:
                job.status, job.error, job.finished_at = "failed", "its last worker died", func.now()
                return None
            job.status, job.attempts, job.due_at = "running", job.attempts + 1, func.now() + self._lease
            return Claim(job.id, job.kind, job.payload, job.attempts)

    async def _work(self, claim: Claim) -> Payload:
        handler = HANDLERS.get(claim.kind)
        if handler is None:
            raise JobError(f"this release knows no job of kind {claim.kind!r}")
        async with self._sessions() as session, asyncio.timeout(self._config.job_timeout_seconds):
            return await handler(session, claim.payload)

    async def _record(self, claim: Claim, work: asyncio.Task[Payload]) -> None:
        error = work.exception()
        if error is None:
            await self._update(claim, status="done", result=work.result(), error=None, finished_at=func.now())
            log.info("job %d: done", claim.id)
            return
        if isinstance(error, TimeoutError):
            error = JobError(f"took longer than {self._config.job_timeout_seconds:g} s")
        known = isinstance(error, JobError)
        reason = str(error) if known else f"{type(error).__name__}: see the worker's log"
        log.warning("job %d: %s", claim.id, error, exc_info=None if known else error)
        if claim.attempt >= self._config.job_max_attempts:
            await self._update(claim, status="failed", error=reason, finished_at=func.now())
            return
        pause = timedelta(seconds=self._config.job_retry_seconds * 2 ** (claim.attempt - 1))
        await self._update(claim, status="queued", error=reason, due_at=func.now() + pause)

    async def _update(self, claim: Claim, **values: object) -> None:
        mine = (Job.id == claim.id, Job.status == "running", Job.attempts == claim.attempt)
        async with self._sessions.begin() as session:
            await session.execute(update(Job).where(*mine).values(**values))

    async def _stopped_within(self, seconds: float) -> None:
        waiting = asyncio.create_task(self._stop.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()


async def _main(config: Settings) -> None:
    engine = create_engine(config)
    worker = Worker(async_sessionmaker(engine, expire_on_commit=False), config)
    loop = asyncio.get_running_loop()
    deaf = config.fault.name == "ignore_sigterm"
    loop.add_signal_handler(signal.SIGTERM, (lambda: log.warning("ignoring SIGTERM")) if deaf else worker.stop)
    loop.add_signal_handler(signal.SIGINT, worker.stop)
    log.info("worker of release %s is ready", config.quayside_release)
    await worker.run()
    await engine.dispose()
    log.info("worker stopped")


def main() -> None:
    config = settings.load()
    logs.setup(config.log_level)
    config.fault.at_start()
    asyncio.run(_main(config))


if __name__ == "__main__":
    main()
