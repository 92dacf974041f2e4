# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._docker_run import RunError
from ansible_collections.quayside.web.plugins.module_utils._migrate_run import Failed
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._pg_session import Unreachable
from ansible_collections.quayside.web.plugins.modules import db_migrate


class Ended(Exception):
    """exit_json or fail_json was called."""


def run(monkeypatch: pytest.MonkeyPatch, *, check: bool = False, **args: Any) -> dict[str, Any]:
    """What the module returns."""
    result: dict[str, Any] = {}

    def end(failed: bool) -> Any:
        def ended(_module: object, **values: Any) -> None:
            result.update(values, failed=failed)
            raise Ended

        return ended

    monkeypatch.setattr(db_migrate.AnsibleModule, "exit_json", end(False))
    monkeypatch.setattr(db_migrate.AnsibleModule, "fail_json", end(True))
    monkeypatch.setattr(db_migrate.signal, "signal", lambda *_args: None)
    given = {"url": "postgresql://shop:Secret-1@db/shop", "image": "shop:2", **args, "_ansible_check_mode": check}
    with patch_module_args(given), pytest.raises(Ended):
        db_migrate.main()
    return result


class FakeSession:
    def __init__(self, _url: object) -> None:
        pass

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_args: object) -> None:
        pass


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_migrate, "DOCKER_ERROR", None)
    monkeypatch.setattr(db_migrate, "PSYCOPG2_ERROR", None)
    monkeypatch.setattr(db_migrate, "Session", FakeSession)


@pytest.mark.parametrize("library", ["docker", "psycopg2"])
def test_check_mode_bears_a_host_without_the_libraries(
    monkeypatch: pytest.MonkeyPatch, ready: None, library: str
) -> None:
    monkeypatch.setattr(db_migrate, f"{library.upper()}_ERROR", "ImportError")
    found = run(monkeypatch, check=True)
    assert (found["failed"], found["changed"]) == (False, True)
    assert found["msg"] == f"Would migrate (state unknown: {library} is not installed yet)"
    found = run(monkeypatch)
    assert found["failed"]
    assert library in found["msg"]


@pytest.mark.parametrize(
    ("exc", "borne"),
    [
        (RunError("the Docker engine does not answer"), True),
        (RunError("image shop:2 is not on this host"), True),
        (FileNotFoundError(2, "No such file", "/secrets.env"), True),
        (Unreachable("nothing listens on db:5432", True), True),
        (Unreachable("PostgreSQL refused the password", False), False),
        (MigrationError("Image shop:2 has 2 Alembic heads"), False),
        (PermissionError(13, "Permission denied"), False),
    ],
)
def test_what_check_mode_bears(monkeypatch: pytest.MonkeyPatch, ready: None, exc: Exception, borne: bool) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise exc

    monkeypatch.setattr(db_migrate, "migrate", fail)
    assert run(monkeypatch)["failed"]
    found = run(monkeypatch, check=True)
    assert found["failed"] is not borne
    assert str(exc) in found["msg"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"url": "mysql://shop:Secret-1@db/shop"}, "scheme is mysql"),
        ({"url": "postgresql://shop:Secret-1@db"}, "names no database"),
        ({"lock_timeout": "0"}, "lock_timeout is '0', expected a time above zero"),
        ({"tool": "sql"}, "path is missing, expected one as tool is sql"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_bad_input_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], message: str, check: bool
) -> None:
    found = run(monkeypatch, check=check, **args)
    assert found["failed"]
    assert message in found["msg"]
    assert "Secret-1" not in found["msg"]


def test_a_failed_migration_returns_its_result(monkeypatch: pytest.MonkeyPatch, ready: None) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise Failed("Migration b2 failed", {"after": ["a1"], "failed_migration": "b2"})

    monkeypatch.setattr(db_migrate, "migrate", fail)
    found = run(monkeypatch)
    assert (found["failed"], found["after"], found["failed_migration"]) == (True, ["a1"], "b2")


def test_env_and_secrets_reach_the_request_as_text(monkeypatch: pytest.MonkeyPatch, ready: None, tmp_path: Any) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        db_migrate, "migrate", lambda request, _session, check: seen.append(request) or {"changed": check}
    )
    file = tmp_path / "env"
    file.write_text("A=file\nB=file\n")
    run(monkeypatch, env={"PORT": 8000}, env_files=[str(file)], secrets={"B": 7})
    assert (seen[0].env, seen[0].secrets) == ({"PORT": "8000"}, {"A": "file", "B": "7"})


def test_a_tool_on_the_host_needs_no_docker(monkeypatch: pytest.MonkeyPatch, ready: None) -> None:
    monkeypatch.setattr(db_migrate, "DOCKER_ERROR", "ImportError")
    seen: list[Any] = []
    monkeypatch.setattr(
        db_migrate, "migrate", lambda request, _session, check: seen.append(request) or {"changed": check}
    )
    assert not run(monkeypatch, image=None, tool="django", command=["venv/bin/python", "manage.py"])["failed"]
    assert (seen[0].image, seen[0].command) == (None, ("venv/bin/python", "manage.py"))
