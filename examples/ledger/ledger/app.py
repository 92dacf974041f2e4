# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The web application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response, status
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import async_sessionmaker

from ledger import api, live
from ledger.database import Probe, create_engine
from ledger.faults import FailAfter
from ledger.schemas import Health
from ledger.settings import Settings

log = logging.getLogger("ledger.app")
router = APIRouter()


@router.get("/", include_in_schema=False)
async def index(request: Request) -> dict[str, str]:
    return {"name": "ledger", "version": request.app.version, "docs": "/docs"}


@router.get("/health", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    settings: Settings = request.app.state.settings
    reachable = await request.app.state.probe.reachable()
    ok = reachable and settings.fault.name != "never_healthy"
    if not ok:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    response.headers["Cache-Control"] = "no-store"
    return Health(
        status="ok" if ok else "degraded",
        timestamp=datetime.now(UTC),
        version=settings.ledger_version,
        environment=settings.app_env,
        release=settings.quayside_release,
        database="reachable" if reachable else "unreachable",
    )


@router.get("/slow", tags=["drain"])
async def slow(request: Request, seconds: Annotated[float, Query(ge=0, le=300)] = 1) -> dict[str, float | str]:
    await asyncio.sleep(seconds)
    return {"slept": seconds, "release": request.app.state.settings.quayside_release}


async def _database_down(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s: %s", request.method, request.url.path, str(error).partition("\n")[0])
    return JSONResponse({"detail": "the database does not answer; try again"}, status.HTTP_503_SERVICE_UNAVAILABLE)


def create_app(settings: Settings) -> FastAPI:
    engine = create_engine(settings)
    probe = Probe(engine)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await probe.close()
        await engine.dispose()

    app = FastAPI(title="Ledger", version=settings.ledger_version, lifespan=lifespan)
    app.state.settings = settings
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    app.state.probe = probe
    app.state.sockets = live.Sockets()
    app.include_router(router)
    app.include_router(live.router)
    app.include_router(api.router)
    for unavailable in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(unavailable, _database_down)
    if settings.fault.name == "fail_after":
        app.add_middleware(FailAfter, seconds=settings.fault.seconds)
    return app
