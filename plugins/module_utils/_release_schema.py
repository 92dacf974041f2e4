# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The database's part of a deploy: brought to the schema of the release, or compared with it, as db_migrate does it."""

from __future__ import annotations

from typing import Any

from . import _migrate_run
from ._database_url import DatabaseUrlError, parse
from ._docker_run import RunError
from ._migration import MigrationError
from ._pg_session import PSYCOPG2_ERROR, Session, Unreachable
from ._release import Manifest, Stored, schema_problem
from ._release_host import ReleaseError
from ._release_request import Request


class MigrationFailed(ReleaseError):
    """`result` is what db_migrate returns: the database's true state."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def migrate(request: Request, stored: Stored, *, check: bool) -> dict[str, Any]:
    """Bring the database to the schema of the release's image, and return what db_migrate does.

    Raises:
        ReleaseError: it could not be.
    """
    url = request.database_url or ""
    if PSYCOPG2_ERROR and not check:
        raise ReleaseError("python3-psycopg2 is missing on this host, which migrations need; install it.")
    if not stored.image_id or PSYCOPG2_ERROR:
        return {"changed": True, "msg": "not known before image and packages are on this host"}
    try:
        with Session(parse(url)) as session:
            return _migrate_run.migrate(_request(request, stored, url), session, check=check)
    except Unreachable as error:
        if not (check and error.bearable):
            raise ReleaseError(str(error)) from error
        return {"changed": True, "msg": str(error)}
    except _migrate_run.Failed as error:
        raise MigrationFailed(str(error), error.result) from error
    except (MigrationError, DatabaseUrlError, RunError) as error:
        raise ReleaseError(str(error)) from error


def refuse_another(request: Request, manifest: Manifest, stored: Stored, live: str) -> None:
    """Refuse to go back to a release that was brought out with another schema than the database has now.

    Raises:
        ReleaseError: it was, or the database can't be asked.
    """
    url = request.database_url
    if request.allow_schema_ahead or not url or not stored.app["migrate"] or manifest.schema is None:
        return
    try:
        with Session(parse(url)) as session:
            state = _migrate_run.current_state(_request(request, stored, url), session)
    except (MigrationError, DatabaseUrlError) as error:
        raise ReleaseError(f"{error} The schema can't be compared; nothing was changed.") from error
    problem = schema_problem(manifest, state, live)
    if problem:
        raise ReleaseError(problem)


def _request(request: Request, stored: Stored, url: str) -> _migrate_run.Request:
    app, wanted = stored.app, stored.app["migrate"]
    return _migrate_run.Request(
        tool=wanted["tool"],
        url=url,
        image=stored.image_id,
        command=tuple(wanted["command"]) if wanted["command"] else None,
        check=tuple(wanted["check"]) if wanted["check"] else None,
        path=wanted["path"],
        workdir=wanted["workdir"],
        user=app["user"],
        env=app["env"],
        secrets=stored.secrets,
        lock_timeout=wanted["lock_timeout"],
        timeout=wanted["timeout"],
        backup_root=request.backup_root if wanted["backup"] else None,
        backup_name=request.name,
    )
