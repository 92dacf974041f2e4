# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Work that a request should not wait for: queued here, done by `python -m ledger.worker`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response, status

from ledger.api.dependencies import Id, Session
from ledger.models import Job
from ledger.schemas import JobIn, JobOut

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def create_job(session: Session, response: Response, body: JobIn) -> JobOut:
    job = Job(kind=body.kind, payload=body.model_dump(mode="json", exclude={"kind"}))
    session.add(job)
    await session.commit()
    await session.refresh(job)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return JobOut.model_validate(job)


@router.get("/{job_id}")
async def get_job(session: Session, job_id: Id) -> JobOut:
    job = await session.get(Job, job_id)
    if job is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no job {job_id}")
    return JobOut.model_validate(job)
