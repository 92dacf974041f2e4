# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Every row of the table "Migrations" of the project's notes, with the real tools on a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
HOSTS = ("debian12", "debian13")
SERVER = "172.30.9.20"
PASSWORD = "s3ntinel-db"
PYTHON = "quayside-migrations-python"
PRISMA = {
    "tool": "prisma",
    "image": "quayside-migrations-prisma",
    "command": ["/srv/node_modules/.bin/prisma"],
}
INIT, EMAIL, DIVIDE = "20260101000000_init", "20260102000000_email", "20260103000000_divide"
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_FORCE_COLOR": "false",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
}

Container = Callable[[str], Any]
Result = dict[str, Any]


def alembic(configuration: str, **options: Any) -> Result:
    command = ["alembic", "-c", f"{configuration}.ini"]
    return {"image": PYTHON, "workdir": "/srv/alembic", "command": command, **options}


def django(migrations: str, **options: Any) -> Result:
    return {
        "tool": "django",
        "image": PYTHON,
        "workdir": "/srv/django",
        "env": {"MIGRATIONS": migrations},
        **options,
    }


def sql(folder: str, **options: Any) -> Result:
    return {"tool": "sql", "image": PYTHON, "path": f"/srv/sql/{folder}", **options}


def prisma(folder: str, **options: Any) -> Result:
    return {**PRISMA, "workdir": folder, **options}


def own(*, check: bool = True, **options: Any) -> Result:
    given = {"tool": "command", "image": PYTHON, "workdir": "/srv/command", "command": ["python", "migrate.py"]}
    return {**given, **({"check": ["python", "migrate.py", "check"]} if check else {}), **options}


class Run:
    """The module on one host, begun in the background."""

    def __init__(self, host: str, options: Result, *, check: bool = False) -> None:
        self.host = host
        flags = ["--check"] if check else []
        command = ["ansible", f"--inventory={INVENTORY}", host, "-m", "quayside.web.db_migrate", "-vvv", *flags]
        self.process = subprocess.Popen(
            [*command, "-a", json.dumps(options)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self) -> Result:
        output, _none = self.process.communicate(timeout=120)
        # The password is in the options that Ansible is given here, and must be nowhere else.
        assert PASSWORD not in output.replace(json.dumps(PASSWORD), "")
        report, _end = json.JSONDecoder().raw_decode(output, output.index('{\n    "custom_stats"'))
        found: Result = report["plays"][0]["tasks"][0]["hosts"][self.host]
        return found


def migrate(url: str, options: Result, *, host: str = "debian12", check: bool = False) -> Result:
    return Run(host, {"url": url, **options}, check=check).result()


@pytest.fixture(scope="module")
def psql(container: Container) -> Callable[..., str]:
    """One statement, or several, as the superuser: `psql("SELECT 1", "shop")`."""

    def ask(statement: str, database: str = "postgres") -> str:
        found: str = container("db").check_output("runuser -u postgres -- psql -XAtqc %s %s", statement, database)
        return found

    return ask


@pytest.fixture
def database(psql: Callable[..., str]) -> Iterator[str]:
    """A new database's name."""
    psql("DROP DATABASE IF EXISTS shop WITH (FORCE)")
    psql("CREATE DATABASE shop OWNER shop")
    yield "shop"
    psql("DROP DATABASE shop WITH (FORCE)")


@pytest.fixture
def url(database: str) -> str:
    return f"postgresql://shop:{PASSWORD}@{SERVER}/{database}"


@pytest.fixture
def session(container: Container, psql: Callable[..., str]) -> Iterator[Callable[[str, str], None]]:
    """A session of somebody else that does this and stays: `session("LOCK TABLE a", "psql")`."""

    def begin(statement: str, name: str = "somebody") -> None:
        program = "PGAPPNAME=%s setsid --fork runuser -u postgres -- psql -XAtqc %s shop > /dev/null 2>&1 < /dev/null"
        container("db").check_output(program, name, f"{statement}; SELECT pg_sleep(60)")
        wait_for(lambda: psql(f"SELECT 1 FROM pg_stat_activity WHERE application_name = '{name}'") == "1", 10)
        time.sleep(0.2)

    yield begin
    for name in ("somebody", "another"):
        end_sessions(psql, name)


def end_sessions(psql: Callable[..., str], name: str = "somebody") -> None:
    psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'")


def wait_for(what: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def module_process(host: Any, psql: Callable[..., str]) -> str:
    """The process id of the module, by the session that holds its lock."""
    port = psql("SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'")
    found = re.search(r"pid=(\d+)", host.check_output("ss -Htnp sport = :%s", port))
    assert found
    return found[1]


def containers(host: Any) -> list[str]:
    found: str = host.check_output("docker ps -a --format '{{.Label \"quayside.role\"}}'")
    return [line for line in found.splitlines() if line.startswith("migrate")]


def tables(psql: Callable[..., str], database: str = "shop") -> list[str]:
    return psql(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname = 'public' ORDER BY 1",
        database,
    ).split()


# Each tool from an empty database on

TOOLS = {
    "alembic": (alembic("first"), alembic("second"), ["0001"], ["0002"], ["0002"]),
    "django": (
        django("first"),
        django("second"),
        ["orders.0001_initial"],
        ["orders.0002_email"],
        ["orders.0001_initial", "orders.0002_email"],
    ),
    "sql": (sql("first"), sql("second"), ["0001"], ["0002"], ["0001", "0002"]),
    "prisma": (prisma("/srv/first"), prisma("/srv"), [INIT], [EMAIL], [INIT, EMAIL]),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_database_is_brought_to_each_release_in_turn(url: str, psql: Callable[..., str], tool: str) -> None:
    first, second, one, two, state = TOOLS[tool]
    everything = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_namespace)"
    untouched = psql(everything, "shop")
    found = migrate(url, first, check=True)
    assert (found["changed"], found["pending"], found["applied"]) == (True, one, [])
    assert psql(everything, "shop") == untouched, "check mode has created something"

    for release, before, pending, after in ((first, [], one, one), (second, one, two, state)):
        found = migrate(url, release)
        assert (found["changed"], found["pending"], found["applied"]) == (True, pending, pending), found
        assert (found["before"], found["after"]) == (before, after)
    found = migrate(url, {**second, "backup_root": "/var/backups/none"}, host="debian13")
    assert (found["changed"], found["before"], found["after"], found["backup_id"]) == (False, state, state, None)

    ahead = migrate(url, first)
    assert ahead["failed"]
    assert f"which image {first['image']} does not have" in ahead["msg"]
    found = migrate(url, {**first, "allow_ahead": True})
    assert (found["changed"], found["ahead"], found["after"]) == (False, True, state)


def test_nothing_pending_takes_no_dump(container: Container) -> None:
    assert not container("debian13").file("/var/backups/none").exists


def test_a_command_tells_by_its_check_whether_it_has_to_run(url: str, psql: Callable[..., str]) -> None:
    assert migrate(url, own(), check=True)["pending"] == ["python migrate.py"]
    assert tables(psql) == []
    found = migrate(url, own())
    assert (found["changed"], found["applied"], found["stdout"]) == (True, ["python migrate.py"], "created tools\n")
    assert migrate(url, own())["changed"] is False
    assert migrate(url, own(check=False), check=True)["changed"] is True


def test_tools_run_on_the_host_as_a_user_of_it(url: str, container: Container, psql: Callable[..., str]) -> None:
    host = container("debian12")
    host.check_output("mkdir -p /srv/sql && echo 'CREATE TABLE here (id int);' > /srv/sql/1_here.sql")
    assert migrate(url, {"tool": "sql", "path": "/srv/sql"})["applied"] == ["1"]
    script = 'test "$(id -un)" = deploy && exec psql -Xqc "CREATE TABLE there (id int)" "$DATABASE_URL"'
    on_the_host = {"tool": "command", "command": ["sh", "-c", script], "workdir": "/home/deploy", "user": "deploy"}
    assert migrate(url, on_the_host)["changed"] is True
    assert {"here", "there"} <= set(tables(psql))


def test_squashed_migrations_of_django_are_known(url: str) -> None:
    migrate(url, django("second"))
    assert migrate(url, django("squashed"))["changed"] is False


# What the hosts keep


def test_the_list_of_migrations_is_kept_for_root_alone_and_no_container_starts_for_it(container: Container) -> None:
    host = container("debian12")
    address = f"postgresql://shop:{PASSWORD}@{SERVER}/debian12"
    folder = "/var/lib/quayside/cache/migrations"
    assert host.file(folder).mode == 0o700
    assert set(host.check_output("stat -c %%a %s/*", folder).split()) == {"600"}
    start = host.check_output("date +%s")
    assert migrate(address, alembic("second"))["changed"] is False
    events = host.check_output("docker events --since %s --until $(date +%%s) --filter event=create", start)
    assert events == ""


# One run at a time


def test_two_hosts_at_once_apply_once(url: str) -> None:
    migrate(url, alembic("first"))
    options = {"url": url, **alembic("slow", env={"SLEEP": "3"})}
    runs = [Run(host, options) for host in HOSTS]
    winner, loser = sorted((run.result() for run in runs), key=lambda found: not found["changed"])
    assert (winner["changed"], winner["applied"]) == (True, ["0002s"])
    assert (loser["changed"], loser["before"], loser["applied"]) == (False, ["0002s"], [])
    assert loser["lock_wait"] > 0.5


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_is_refused(url: str, container: Container, psql: Callable[..., str], mode: str) -> None:
    container("db").check_output("sed -i 's/^pool_mode.*/pool_mode = %s/' /etc/pgbouncer/pgbouncer.ini", mode)
    container("db").check_output("systemctl restart pgbouncer")
    found = migrate(url.replace(SERVER, f"{SERVER}:6432"), alembic("first"))
    assert found["failed"]
    assert f"{SERVER}:6432 is a connection pooler, but migrations need the direct URL" in found["msg"]
    assert tables(psql) == []


def test_another_run_of_prisma_is_waited_for(url: str, session: Any, psql: Callable[..., str]) -> None:
    migrate(url, prisma("/srv/first"))
    session("SELECT pg_advisory_lock(72707369)")
    run = Run("debian12", {"url": url, **prisma("/srv")})
    time.sleep(4)
    end_sessions(psql)
    found = run.result()
    assert (found["changed"], found["applied"]) == (True, [EMAIL])
    assert found["lock_wait"] > 0.5
    session("SELECT pg_advisory_lock(72707369)", "another")
    found = migrate(url, prisma("/srv/broken", timeout=2))
    assert found["failed"]
    assert "another run of Prisma from this host" in found["msg"]


# Killed


@pytest.mark.parametrize(
    ("options", "sleeping"),
    [
        (alembic("slow", env={"SLEEP": "60"}), "quayside-migrate"),
        ({"tool": "sql", "path": "/srv/slow"}, "quayside-migrate-lock"),
        (
            {
                "tool": "command",
                "command": ["sh", "-c", 'psql -Xqc "SELECT pg_sleep(60)" "$DATABASE_URL"; true'],
                "workdir": "/",
            },
            "quayside-migrate",
        ),
    ],
    ids=["in a container", "by ourselves", "on the host"],
)
def test_a_killed_run_leaves_nothing(
    url: str, container: Container, psql: Callable[..., str], options: Result, sleeping: str
) -> None:
    host = container("debian12")
    migrate(url, alembic("first"))
    host.check_output("mkdir -p /srv/slow && echo 'SELECT pg_sleep(60);' > /srv/slow/1_slow.sql")
    run = Run("debian12", {"url": url, **options})
    asleep = (
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{sleeping}' AND query LIKE 'SELECT pg_sleep%'"
    )
    wait_for(lambda: psql(asleep) == "1", 20)
    host.check_output("kill -KILL %s", module_process(host, psql))
    run.process.communicate(timeout=30)
    wait_for(lambda: psql(asleep) == "0", 10)
    wait_for(lambda: containers(host) == [], 10)
    assert psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    found = migrate(url, alembic("second"), host="debian13")
    assert (found["changed"], found["before"], found["after"]) == (True, ["0001"], ["0002"])


# Locks and backups

WAITING = {
    "psycopg": (alembic("first"), alembic("second"), "accounts", ["0001"]),
    "asyncpg": (alembic("first"), alembic("second"), "accounts", ["0001"]),
    "django": (django("first"), django("second"), "orders_order", ["orders.0001_initial"]),
    "sql": (sql("first"), sql("second"), "parts", ["0001"]),
}


@pytest.mark.parametrize("driver", WAITING)
def test_readers_do_not_queue_for_long_behind_a_migration_that_waits(
    url: str, session: Any, psql: Callable[..., str], driver: str
) -> None:
    first, second, table, before = WAITING[driver]
    if driver == "asyncpg":
        url = url.replace("postgresql:", "postgresql+asyncpg:")
    migrate(url, first)
    session(f"BEGIN; LOCK TABLE {table} IN ACCESS SHARE MODE")
    run = Run("debian12", {"url": url, **second, "lock_timeout": "500ms"})
    slowest = 0.0
    while run.process.poll() is None:
        start = time.monotonic()
        psql(f"SELECT count(*) FROM {table}", "shop")
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.05)
    found = run.result()
    assert found["failed"]
    assert "lock timeout" in found["msg"] or "longer than lock_timeout (500ms)" in found["msg"]
    assert (found["before"], found["after"], found["applied"]) == (before, before, [])
    assert "was tried once more" in found["warnings"][0]
    assert slowest < 2.5


def test_a_migration_that_waited_too_long_is_tried_once_more(url: str, session: Any, psql: Callable[..., str]) -> None:
    migrate(url, alembic("first"))
    session("BEGIN; LOCK TABLE accounts IN ACCESS SHARE MODE")
    run = Run("debian12", {"url": url, **alembic("second"), "lock_timeout": "2s"})
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
    wait_for(lambda: psql(waits) != "0", 20)
    wait_for(lambda: psql(waits) == "0", 10)
    end_sessions(psql)
    found = run.result()
    assert (found["changed"], found["before"], found["after"]) == (True, ["0001"], ["0002"]), found.get("msg")
    assert "was tried once more" in found["warnings"][0]


def test_a_running_backup_is_waited_for_or_named(url: str, container: Container, psql: Callable[..., str]) -> None:
    migrate(url, alembic("first"))
    psql("INSERT INTO accounts (name) SELECT repeat('x', 100) FROM generate_series(1, 100000)", "shop")
    # It cannot write on until somebody reads, and so it holds its locks.
    container("db").check_output(
        "setsid --fork runuser -u postgres -- sh -c 'pg_dump shop | (sleep 7; cat)' > /dev/null 2>&1 < /dev/null"
    )
    wait_for(lambda: psql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'") == "1", 5)
    found = migrate(url, alembic("second", timeout=1))
    assert found["failed"]
    assert found["msg"].startswith("Database shop: a backup (pg_dump) still ran after 1 s")
    assert psql("SELECT version_num FROM alembic_version", "shop") == "0001"
    found = migrate(url, alembic("second"), host="debian13")
    assert (found["changed"], found["lock_wait"] > 0.5) == (True, True)


# Failures


def test_a_migration_that_fails_midway_tells_the_truth(
    url: str, container: Container, psql: Callable[..., str]
) -> None:
    migrate(url, django("second"))
    found = migrate(url, django("broken", backup_root="/var/backups/quayside"))
    assert found["failed"]
    assert found["before"] == ["orders.0001_initial", "orders.0002_email"]
    assert found["after"] == [*found["before"], "orders.0003_note"]
    assert (found["applied"], found["failed_migration"]) == (["orders.0003_note"], "orders.0004_divide")
    assert "division by zero" in found["msg"]
    assert found["msg"].endswith(f"The dump {found['backup_id']} was taken before.")
    assert container("debian12").file(f"/var/backups/quayside/shop/{found['backup_id']}/manifest.json").exists
    # Nothing was restored.
    assert "note" in psql("SELECT attname FROM pg_attribute WHERE attrelid = 'orders_order'::regclass", "shop").split()


@pytest.mark.parametrize(
    ("first", "broken", "state", "failed"),
    [
        (alembic("second"), alembic("broken"), ["0002"], "0003"),
        (sql("second"), sql("broken"), ["0001", "0002"], "0003"),
        (prisma("/srv"), prisma("/srv/broken"), [INIT, EMAIL], DIVIDE),
    ],
    ids=["alembic", "sql", "prisma"],
)
def test_a_migration_that_fails_leaves_the_state_before_it(
    url: str, first: Result, broken: Result, state: list[str], failed: str
) -> None:
    migrate(url, first)
    found = migrate(url, broken)
    assert found["failed"]
    assert (found["before"], found["after"], found["applied"]) == (state, state, [])
    assert (found["failed_migration"], found["changed"]) == (failed, False)
    assert "division by zero" in found["msg"]
    if first["image"] != PYTHON:
        again = migrate(url, broken)["msg"]
        assert f"Migration {DIVIDE} failed on database shop at" in again
        assert f"(P3009): look at what it left there, then run `prisma migrate resolve --rolled-back {DIVIDE}`" in again


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (alembic("first"), alembic("heads"), "has 2 Alembic heads (0002b, 0002), expected one"),
        (django("first"), django("conflict"), "ends in 2 migrations (orders.0002_email, orders.0002_other)"),
        (sql("first"), sql("edited"), "0001_parts.sql of image quayside-migrations-python was edited after it was"),
    ],
    ids=["alembic heads", "django conflict", "sql edited"],
)
def test_what_is_refused_before_anything_is_touched(
    url: str, psql: Callable[..., str], first: Result, second: Result, message: str
) -> None:
    migrate(url, first)
    # Each table and index with its file; not their sizes, which the server's own housekeeping changes.
    everything = "SELECT md5(string_agg(relname || relfilenode, ',' ORDER BY oid)) FROM pg_class"
    before = psql(everything, "shop")
    for check in (False, True):
        found = migrate(url, second, check=check)
        assert found["failed"]
        assert message in found["msg"]
    assert psql(everything, "shop") == before


def test_an_edited_migration_of_prisma_is_reported(url: str) -> None:
    migrate(url, prisma("/srv"))
    found = migrate(url, prisma("/srv/edited"))
    assert found["changed"] is False
    assert f"Migration {INIT} of image quayside-migrations-prisma was edited" in found["warnings"][0]


def test_prisma_does_not_get_to_create_a_database(database: str, psql: Callable[..., str]) -> None:
    psql("ALTER ROLE shop CREATEDB")
    found = migrate(f"postgresql://shop:{PASSWORD}@{SERVER}/nowhere", prisma("/srv"))
    psql("ALTER ROLE shop NOCREATEDB")
    assert found["failed"]
    assert "PostgreSQL at 172.30.9.20:5432 has no database nowhere" in found["msg"]
    assert psql("SELECT count(*) FROM pg_database WHERE datname = 'nowhere'") == "0"


def test_a_concurrent_index_that_failed_is_reported_and_not_tried_blindly(url: str, psql: Callable[..., str]) -> None:
    migrate(url, sql("second"))
    psql("INSERT INTO parts (name, email) VALUES ('a', 'same'), ('b', 'same')", "shop")
    found = migrate(url, sql("concurrent"))
    assert found["failed"]
    assert (found["failed_migration"], found["after"]) == ("0003", ["0001", "0002"])
    assert "index parts_email is invalid" in found["warnings"][-1]
    assert (
        "Migration 0003_index.sql on database shop was begun without a transaction"
        in (migrate(url, sql("concurrent"))["msg"])
    )
    psql("UPDATE parts SET email = name; DROP INDEX parts_name; DROP INDEX parts_email", "shop")
    psql("DELETE FROM quayside_migrations WHERE NOT success", "shop")
    found = migrate(url, sql("concurrent"))
    assert (found["changed"], found.get("warnings", [])) == (True, [])
